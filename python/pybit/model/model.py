# SPDX-License-Identifier: Apache-2.0
"""The model that users hold: a network with its labels and its preprocessing, and what it does with images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pybit.base.arrays import Array, as_batch, as_targets, check_floating, range_problem, to_numpy
from pybit.base.renamed import with_new_keywords
from pybit.base.sizes import height_width, whole_number
from pybit.base.threads import check_threads
from pybit.data.options import ImageOptions, PreprocessSpec
from pybit.errors import ConfigError
from pybit.inference import run
from pybit.inference.results import Embeddings, Prediction
from pybit.model import files
from pybit.model.base import ModelBase
from pybit.network import names as naming
from pybit.network.build import network_from_arrays
from pybit.network.heads import replace_head
from pybit.network.levels import LEVELS, levels_of
from pybit.network.options import ComputeOptions
from pybit.network.source import FixedNetwork
from pybit.report import describe

if TYPE_CHECKING:  # imported when first used: few programs ask for reports
    from pybit.report.plan import Plan, Profile


class Model(ModelBase):
    """A BiT ResNetV2 for inference; make one with `pybit.create_model` or `pybit.load`.

    Images are float arrays in [-1, 1] of shape (N, 3, H, W), or (N, H, W, 3) with layout="nhwc"; `predict` and `embed`
    take files, PIL images and 8-bit arrays instead. Results come back in the caller's array family (torch in, torch
    out). The network is immutable: one model serves many threads at once, and the interpreter's lock is released while
    it computes. `reset_classifier` and `load_state_dict` put a new network in the old one's place.
    """

    # ---- arrays in, arrays out
    def _run(self, x: Any, outputs: list[str], layout: str, threads: int) -> tuple[Any, ...]:
        network = self._network
        channels = network.config.in_channels
        a, restore = as_batch(x, channels=channels, layout=layout, dtype=network.array_dtype, what="images")
        if not self._range_warned and (problem := range_problem(a)):
            self._range_warned = True
            warnings.warn(f"{self.name} expects images in [-1, 1]; {problem}", UserWarning, stacklevel=3)
        found = network.run(a, layout, outputs, check_threads(threads))
        return tuple(restore(found[name]) for name in outputs)

    def __call__(self, x: Any, *, layout: str = "nchw", threads: int = 0) -> Any:
        """Logits (N, classes) of a batch of images; pooled features (N, num_features) if there is no head.

        `threads` limits this call, 0 means the global setting. Raises ShapeError with the shape for anything that is
        not a batch of floats, and warns once if the values do not look like images in [-1, 1].
        """
        return self._run(x, ["logits" if self.num_classes else "pooled"], layout, threads)[0]

    def forward_features(self, x: Any, *, layout: str = "nchw", threads: int = 0) -> Any:
        """The last feature map, after the final group norm and ReLU: (N, num_features, H/32, W/32), rounded up."""
        return self._run(x, ["features"], layout, threads)[0]

    def forward_head(self, features: Any, pre_logits: bool = False, *, layout: str = "nchw", threads: int = 0) -> Any:
        """Logits of what `forward_features` gave; with pre_logits=True the pooled features (N, num_features)."""
        network = self._network
        channels = self.num_features
        a, restore = as_batch(features, channels=channels, layout=layout, dtype=network.array_dtype, what="features")
        return restore(network.head(a, layout, pre_logits or not self.num_classes, check_threads(threads)))

    def forward_intermediates(
        self,
        x: Any,
        indices: int | Sequence[int | str] | None = None,
        *,
        norm: bool = False,
        intermediates_only: bool = False,
        layout: str = "nchw",
        threads: int = 0,
    ) -> Any:
        """The last feature map and a list of intermediate ones, as timm's method of this name returns them.

        The five levels are 0 "stem" (the 7x7 convolution, stride 2, before padding and pooling) and 1..4 "block1" to
        "block4" (residual sums, strides 4 to 32, no norm). `indices`: numbers, negative ones from the end, or names;
        an int n means the last n; None means all. norm=True gives the last level after the final norm and ReLU.
        With intermediates_only=True only the list is returned. Raises ConfigError for an unknown level.
        """
        wanted = [LEVELS[i] for i in levels_of(indices)]
        if norm:
            wanted = ["features" if name == LEVELS[-1] else name for name in wanted]
        outputs = list(dict.fromkeys(wanted if intermediates_only else ["features", *wanted]))
        found = dict(zip(outputs, self._run(x, outputs, layout, threads), strict=True))
        maps = [found[name] for name in wanted]
        return maps if intermediates_only else (found["features"], maps)

    # ---- gradients
    def gradients(
        self, x: Any, y: Any, names: str = "official", *, layout: str = "nchw", threads: int = 0
    ) -> tuple[float, dict[str, Array]]:
        """Mean softmax cross-entropy of a batch and its gradient with respect to every parameter.

        `y`: integer labels (N,), or probabilities (N, classes). The gradients are NumPy arrays named and laid out as
        `state_dict(names)`; the model is not changed. float32 and bfloat16 models run on the CPU engine, float64 ones
        on the reference backend; a bfloat16 model's gradients are float32, too. Each call copies the parameters: to
        train, use a trainer. Raises ShapeError for shapes and labels that are no class, ConfigError for a model without
        a head.
        """
        wanted = naming.check(names)
        if not self.num_classes:
            raise ConfigError("a model without a head has no loss; give it one with model.reset_classifier(classes)")
        network = self._network
        a, _ = as_batch(x, channels=network.config.in_channels, layout=layout, dtype=network.array_dtype, what="images")
        loss, found = network.gradients(a, layout, as_targets(y, len(a), self.num_classes), check_threads(threads))
        return loss, dict(naming.rename(name, value, wanted) for name, value in found)

    # ---- weights
    def state_dict(self, names: str = "official") -> dict[str, Array]:
        """All parameters by name: "official" (HWIO kernels, as the release's npz), "timm" or "transformers" (OIHW)."""
        wanted = naming.check(names)
        return dict(naming.rename(name, value, wanted) for name, value in self._network.tensors())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over parameters under any of the known namings; the architecture and the classes must be this model's.

        Raises FormatError with every missing, unknown and misshapen tensor; the model is then as it was. One thread at
        a time may use the model meanwhile.
        """
        arrays = []
        for name, value in state.items():
            array, _ = to_numpy(value)
            check_floating(array, name)
            arrays.append((name, np.ascontiguousarray(array)))
        network = self._network
        self.take_from(
            FixedNetwork(network_from_arrays(arrays, network.config, ComputeOptions.of(network))), "state dict"
        )
        self._preprocessing_warned = False

    def reset_classifier(self, num_classes: int, head: Literal["zero", "new"] = "zero", seed: int = 0) -> None:
        """Replace the head by a new one for `num_classes` classes; 0 removes it.

        head="zero" (as the release fine-tunes: all logits are 0 until it is trained) or "new" (seeded random).
        Labels are forgotten. Raises ConfigError for anything else.
        """
        num_classes = whole_number(num_classes, "num_classes", 0)
        if head not in ("zero", "new"):
            raise ConfigError(f'expected head "zero" or "new", got {head!r}')
        network = replace_head(self._network, num_classes, head if num_classes else "drop", seed)
        self.take_from(FixedNetwork(network), self.origin)
        self.labels = None

    def save(self, path: str | os.PathLike[str], names: str = "official") -> None:
        """Write .safetensors (with labels and preprocessing in its metadata) or .npz, under any of the namings.

        The file is complete or not there: it is written beside `path` and renamed. Raises OSError if it cannot be
        written, ConfigError for another ending or naming.
        """
        files.save(self.loaded, os.fspath(path), names)

    # ---- images in, answers out
    def predict(
        self,
        inputs: Any,
        topk: int = 5,
        *,
        batch_size: int | None = None,
        threads: int = 0,
        skip_corrupt: bool = False,
        progress: bool | None = None,
        activation: str | None = None,
        preprocessing: PreprocessSpec | None = None,
        max_pixels: int | None = None,
    ) -> list[Prediction]:
        """Classify images: files, folders, PIL images, 8-bit arrays, streams, or lists of them, see `pybit.data`.

        Returns one `Prediction` per image with the `topk` likeliest classes. activation="sigmoid" gives independent
        probabilities, as the 21,843-class models were trained; None is what the file says, else "softmax". Files that
        cannot be decoded raise, or are left out with a warning if skip_corrupt=True. `progress`: None shows a bar on
        long work. `batch_size`: None chooses one for this model and image size (a fixed cost model, 512 MiB of maps at
        most), see docs/performance.md. `max_pixels`: larger images are refused, see `pybit.data.read_image`.
        """
        spec = self._image_spec(preprocessing)
        options = ImageOptions(spec, batch_size, threads, skip_corrupt, progress, max_pixels)
        return list(run.iter_predict(self.loaded, inputs, options, topk=topk, activation=activation))

    def iter_predict(
        self,
        inputs: Any,
        topk: int = 5,
        *,
        batch_size: int | None = None,
        threads: int = 0,
        skip_corrupt: bool = False,
        progress: bool | None = None,
        activation: str | None = None,
        preprocessing: PreprocessSpec | None = None,
        max_pixels: int | None = None,
    ) -> Iterator[Prediction]:
        """`predict` as a stream: each `Prediction` comes as soon as its batch is done, in the order of the images.

        An endless stream of images takes the memory of a few batches. Arguments and what is raised are as of `predict`;
        an image that cannot be read raises after all before it were handed out.
        """
        spec = self._image_spec(preprocessing)
        options = ImageOptions(spec, batch_size, threads, skip_corrupt, progress, max_pixels)
        return run.iter_predict(self.loaded, inputs, options, topk=topk, activation=activation)

    def embed(
        self,
        inputs: Any,
        batch_size: int | None = None,
        *,
        pool: bool = True,
        threads: int = 0,
        skip_corrupt: bool = False,
        progress: bool | None = None,
        preprocessing: PreprocessSpec | None = None,
        max_pixels: int | None = None,
    ) -> Array | Embeddings:
        """Features (N, num_features) of images given as for `predict`; pool=False: maps (N, num_features, h, w).

        Files and folders give `Embeddings`, which know their paths and, for a folder of folders or several folders,
        their classes; images in memory give a plain NumPy array.
        """
        spec = self._image_spec(preprocessing)
        options = ImageOptions(spec, batch_size, threads, skip_corrupt, progress, max_pixels)
        return run.embed(self.loaded, inputs, options, pool=pool)

    def _image_spec(self, wanted: PreprocessSpec | None) -> PreprocessSpec:
        if wanted is None and self._preprocessing is None and not self._preprocessing_warned:
            self._preprocessing_warned = True
            warnings.warn(describe.unknown_preprocessing(self.loaded), UserWarning, stacklevel=3)
        return wanted or self.preprocessing

    # ---- costs
    def summary(self, size: int | tuple[int, int] = 224, batch: int = 1) -> list[dict[str, Any]]:
        """Every step of the network at an input size: name, kind, shapes, parameters, multiply-adds, bytes."""
        return self._network.summary(batch, *height_width(size))

    def memory_plan(
        self, size: int | tuple[int, int] = 224, batch: int = 1, *, training: bool = False, **how: Any
    ) -> Any:
        """Bytes that a call at an input size needs: weights, working memory, and where each value lies in it.

        A dict. With training=True it is a `TrainingMemory`, which prints as a table: what a step of `pybit.Trainer` on
        this model takes on top of Python and the package, within 10 %. `how` may then say batch_split=1,
        recompute="none" or "units", optimizer="sgd", threads=0, train and freeze (lists of patterns). Raises
        ConfigError for a model that cannot be trained.
        """
        if training:
            from pybit.report.memory import plan_training

            return plan_training(self.loaded, size, batch, **with_new_keywords("Model.memory_plan", how))
        if how:
            raise ConfigError(f"[memory_plan] expected {', '.join(how)} only with training=True")
        return self._network.memory_plan(batch, *height_width(size))

    def plan(self, h: int = 224, w: int | None = None, n: int = 1, *, threads: int = 0) -> Plan:
        """What `n` images of h x w pixels (w: as h) take, step by step: algorithm, operations, weights, memory.

        Prints as a table; `rows` are dicts. Making a plan runs nothing. Raises ConfigError for sizes that are none.
        """
        from pybit.report.plan import make_plan

        return make_plan(self.loaded, h, w, n, threads)

    def profile(
        self, x: Any = 224, w: int | None = None, n: int = 1, runs: int = 20, *, threads: int = 0, layout: str = "nchw"
    ) -> Profile:
        """`plan` with times: least and median seconds of each step in `runs` calls, rates, shares, ceilings.

        `x` is a batch of images as for a call, or their height (`w`: the width, `n`: how many; random pixels). The
        ceilings (multiply-adds on registers, reading from memory) are measured before and after, with 256 MiB.
        Each step ends when all threads are done with it. Raises ShapeError as a call does.
        """
        from pybit.report.plan import make_profile

        return make_profile(self.loaded, x, w, n, runs, threads, layout)
