# SPDX-License-Identifier: Apache-2.0
"""fine_tune: the library's run with Python's words for models, data and results."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybit import _core
from pybit.base.renamed import with_new_keywords
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError
from pybit.evaluation import held_out
from pybit.evaluation.accuracy import Evaluation
from pybit.model.model import Model
from pybit.train.inputs import sets_of, some, start_of
from pybit.train.options import FineTuneOptions, checked, weights_of_classes
from pybit.train.result import FineTuned, TunedWeights
from pybit.train.run_files import flags_of, steps_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pybit.train.log import TrainLog

_CALLBACKS = ("on_part", "on_step", "on_evaluation", "on_checkpoint", "on_skipped", "should_stop")


class FineTuning:
    """A run that was resolved and has not begun: print(run.recipe), then run.start().

    The arguments and what they raise are those of `pybit.fine_tune`. One thread at a time may use it.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        data: Any,
        *,
        logdir: str | os.PathLike[str] | None = None,
        name: str | None = None,
        **options: Unpack[FineTuneOptions],
    ) -> None:
        how = checked("fine_tune", with_new_keywords("FineTuning", dict(options)), ("logdir", "name"))
        if (logdir is None) != (name is None):
            raise ConfigError("[fine_tune] expected both logdir and name, or neither")
        self.folder = None if logdir is None or name is None else Path(logdir) / name
        checkpoint, label, labels = start_of(model)
        self.name = name or label
        self.train, self.validation = sets_of(data)
        self.best_by: str = how.get("best_by", "top1")
        compat: str = how.get("compat", "none")
        flags = {**how.pop("flags", {}), "model": label}
        self._examples = len(self.train)  # with those that few-shot training passes over
        per_class, seed = how.pop("examples_per_class", None), how.pop("examples_per_class_seed", 0)
        if per_class is not None:
            rule: Any = "exact" if compat == "none" else compat
            self.train = self.train.few_shot(per_class, seed, rule)
            flags["few_shot"] = f"{per_class} per class, seed {seed}"
        if "max_minutes" in how:
            how["max_seconds"] = 60 * how.pop("max_minutes")
        if "class_weights" in how:
            counts = list(self.train.counts.values())
            how["class_weights"] = weights_of_classes(how["class_weights"], self.train.class_names, counts)
        how["keep_head"] = self._keeps_head(how.pop("head", "auto"), labels, checkpoint.config.num_classes)
        if self.folder is not None:
            how["folder"] = self.folder
        validation = self.validation
        self._core = _core.FineTuning(
            checkpoint,
            self.train.core,
            validation.core if validation is not None and len(validation) else None,
            flags=flags,
            model_name=self.name,
            **how,
        )
        self._resampling: Any = how.get("resampling") or ("tf" if compat in ("jax", "tf2") else "pillow")
        self._activation = "sigmoid" if how.get("loss") == "sigmoid" else "softmax"
        self._best: TunedWeights | None = None

    @property
    def recipe(self) -> str:
        """The recipe in several lines: resolution, mixup, steps, rate, batch, memory, what is not BiT-HyperRule's."""
        return self._core.recipe

    @property
    def departures(self) -> list[str]:
        """Sentences on what is not BiT-HyperRule's."""
        return self._core.departures

    def estimate(self) -> dict[str, float]:
        """Seconds of a step, of an evaluation, and in total, from a measurement of this machine that takes a quarter of
        a second; `recipe` tells them from then on. Within about a factor of 1.5 on an idle machine."""
        return self._core.estimate()

    @property
    def steps(self) -> int:
        """The number of updates in the whole run."""
        return self._core.steps

    @property
    def steps_done(self) -> int:
        """The number of updates that the run's folder holds already; `start` goes on from there."""
        return 0 if self.folder is None else steps_of(self.folder)

    @property
    def batch(self) -> int:
        """The number of images per update."""
        return self._core.batch

    @property
    def batch_split(self) -> int:
        """The number of micro-batches that an update's images are taken in."""
        return self._core.batch_split

    @property
    def recompute(self) -> str:
        """What the backward pass recomputes: "units", the feature maps within residual units, or "none"."""
        return self._core.recompute

    def __repr__(self) -> str:
        done = f", {self.steps_done} of them done" if self.steps_done else ""
        sets = f"{len(self.train)} images of {len(self.train.class_names)} classes"
        held_out = 0 if self.validation is None else len(self.validation)
        folder = "" if self.folder is None else f", in {self.folder}"
        return (
            f"<FineTuning {self.name}: {self.steps} steps of {self.batch}{done}; {sets}, {held_out} held out{folder}>"
        )

    def start(
        self,
        *,
        tensorboard: bool = False,
        progress: bool | None = None,
        log: TrainLog | None = None,
        **callbacks: Any,
    ) -> FineTuned:
        """Run to the end, or until should_stop() is true; the arguments are those of :func:`fine_tune`.

        `log`: what writes train.log instead of one made here, which the caller closes. Further callbacks: on_part(step,
        part, parts, loss, rate), on_checkpoint(step, path) and on_skipped(name, reason).
        """
        unknown = set(callbacks) - set(_CALLBACKS)
        if unknown:
            raise ConfigError(
                f"[fine_tune] there is no callback {', '.join(sorted(unknown))}; they are {', '.join(_CALLBACKS)}"
            )
        own = [callbacks]
        if tensorboard:
            from pybit.train.tensorboard import EventLog

            if self.folder is None:
                raise ConfigError("[fine_tune] expected logdir and name with tensorboard=True: events go into them")
            events = EventLog(self.folder)
            own.append({name: getattr(events, name) for name in ("on_step", "on_evaluation")})
        from pybit.train.log import TrainLog  # which brings logging

        lines = TrainLog(self.folder, stderr=False, progress=progress) if log is None else log
        try:
            return self._run(own, lines)
        finally:
            if tensorboard:
                events.close()
            if log is None:
                lines.close()

    def _run(self, own: list[dict[str, Any]], log: TrainLog) -> FineTuned:
        log.begin(self.recipe, self.steps, self.steps_done, len(self.train.class_names), self.best_by)
        told = [given["on_evaluation"] for given in own if given.get("on_evaluation") is not None]

        def evaluated(step: int, found: dict[str, Any], more: dict[str, Any]) -> None:
            log.on_evaluation(step, Evaluation(**found), more)
            for call in told:
                call(step, Evaluation(**found))

        def keep(step: int) -> None:
            self._best = None  # before another copy is made
            self._best = self._weights(step)

        names = ("on_part", "on_step", "on_checkpoint", "on_skipped")
        hooks = {name: _joined(getattr(log, name, None), *(given.get(name) for given in own)) for name in names}
        hooks["on_checkpoint"] = _joined(hooks["on_checkpoint"], self._keep_held_out)
        done = self._core.run(
            **hooks,
            on_evaluation=evaluated,
            on_best=keep if self.folder is None else None,
            should_stop=own[0].get("should_stop"),
        )
        evaluation = done["evaluation"]
        result = FineTuned(
            self._weights(done["step"]).model(),
            steps=done["step"],
            first_step=done["first_step"],
            interrupted=done["interrupted"],
            loss=done["loss"],
            evaluation=None if evaluation is None else Evaluation(**evaluation),
            best=done["best"],
            best_step=done["best_step"],
            folder=self.folder,
            seconds=done["seconds"],
            best_by=self.best_by,
            ended=done["ended"],
            best_weights=None if done["best_step"] == done["step"] else self._best,
        )
        self._best = None
        log.end(result)
        return result

    def _weights(self, step: int) -> TunedWeights:
        spec = PreprocessSpec(self._core.crop, mode="squash", resampling=self._resampling)
        labels = tuple(self.train.class_names)
        return TunedWeights(self._core.tensors(), self._core.config, self.name, step, spec, labels, self._activation)

    def _keeps_head(self, head: str, labels: tuple[str, ...] | None, classes: int) -> bool:
        """Whether training goes on with the checkpoint's head; a run that was begun goes on as it began."""
        agree = labels is not None and labels == tuple(self.train.class_names) and len(labels) == classes
        if head == "keep" and not agree:
            raise ConfigError(
                "[fine_tune] expected a model whose classes are the set's, in their order, with head='keep': it has "
                + (f"{classes} classes without names" if labels is None else f"{some(labels)}, the set ")
                + ("" if labels is None else some(tuple(self.train.class_names)))
            )
        if head == "auto" and agree and self.folder is not None and steps_of(self.folder):
            return flags_of(self.folder).get("head") == "kept"
        return agree and head != "zero"

    def _keep_held_out(self, *_: Any) -> None:
        """Write which images are held out beside the first checkpoint, when the folder is this run's for certain."""
        if self.folder is not None and self.validation is not None and not (self.folder / held_out.NAME).exists():
            held_out.write(self.folder, self._examples + len(self.validation), self.validation)


def fine_tune(
    model: Model | str | os.PathLike[str],
    data: Any,
    *,
    logdir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    on_step: Callable[..., Any] | None = None,
    on_evaluation: Callable[[int, Evaluation], Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
    tensorboard: bool = False,
    progress: bool | None = None,
    **options: Unpack[FineTuneOptions],
) -> FineTuned:
    """Fine-tune a model on a data set by BiT-HyperRule, with a new head of zeros, or its own if the classes agree.

        done = pybit.fine_tune("BiT-M-R50x1", "photos/", logdir="runs", name="photos")
        done.best_model.predict(["new.jpg"])

    Args:
        model: a model, which stays as it is, a checkpoint file of any supported format, a run's folder (its best
            checkpoint), or a released model's name.
        data: what :func:`pybit.datasets.open` takes, or the pair that it returns, or a training set alone.
        logdir, name: the run's folder is logdir/name. If it holds this run already, the run goes on, to the same bits
            as without the interruption. Without them nothing is written.
        on_step: called with (step, loss, rate, images, load_seconds, gradient_seconds, update_seconds).
        on_evaluation: called with (step, Evaluation).
        should_stop: asked before each step; True saves and returns.
        tensorboard: also write TensorBoard events into the run's folder; needs the extra `tensorboard`.
        progress: True shows a live line on standard error; None only on a terminal or in a notebook; False never. The
            lines of train.log go to the logger "pybit.train" in any case.
        options: see `pybit.FineTuneOptions`, whose names editors complete; docs/finetuning.md tells what each does.

    Raises:
        ConfigError: options that cannot be, or a folder with another run; the message lists the differences.
        FormatError, ShapeError: data or a checkpoint that cannot be used.
        OSError: a folder that cannot be written, images that cannot be read.
        ImportError: tensorboard=True without the library that writes events.
        pybit.DivergedError: the loss is not finite; the last checkpoint stays.

    KeyboardInterrupt (Ctrl-C) ends a run between two steps, after it was saved.
    """
    how: Any = with_new_keywords("fine_tune", dict(options))
    run = FineTuning(model, data, logdir=logdir, name=name, **how)
    calls: dict[str, Any] = {"on_step": on_step, "on_evaluation": on_evaluation, "should_stop": should_stop}
    return run.start(tensorboard=tensorboard, progress=progress, **calls)


def _joined(*functions: Callable[..., Any] | None) -> Callable[..., None] | None:
    """A callback that calls those that there are."""
    there = [function for function in functions if function is not None]

    def call(*arguments: Any) -> None:
        for function in there:
            function(*arguments)

    return call if there else None
