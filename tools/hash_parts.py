# SPDX-License-Identifier: Apache-2.0
"""What tools/hash_results.py records: forward passes, gradients, training, checkpoint files, images."""

from __future__ import annotations

import importlib
import inspect
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hash_results import Record

THREADS = (1, 2, 3)


# ---- models and images
def golden_values() -> Any:
    """The module tests/golden/make_checkpoint.py."""
    import pybit

    for root in (Path(pybit.__file__).parents[2], Path(__file__).parents[1]):
        if (root / "tests" / "golden" / "make_checkpoint.py").exists():
            sys.path.insert(0, str(root / "tests" / "golden"))
            return importlib.import_module("make_checkpoint")
    raise SystemExit("tests/golden/make_checkpoint.py: expected it in the tree of pybit or of this script")


def grouped_file(values: Any, folder: Path) -> Path:
    """A checkpoint with 8 groups and 24 channels: blocks of 16 channels are not full."""
    path = folder / "grouped.safetensors"
    shapes = dict(values.tensor_shapes((1, 1, 1, 1), 1, 7))
    tensors = {
        name: values.tensor_value(name, tuple(n if n in (1, 3, 7) else n * 3 // 8 for n in shape), 31)
        for name, shape in shapes.items()
    }
    header: dict[str, Any] = {"__metadata__": {"bit.groups": "8"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(t.tobytes() for t in tensors.values()))
    return path


def models(values: Any, folder: Path, **how: Any) -> Iterator[tuple[str, Any, list[tuple[int, int, int]]]]:
    """Name, model and batches (images, height, width)."""
    import pybit

    def made(seed: int, **shape: Any) -> Any:
        model = pybit.create_model("net", **{"units": (1, 1, 1, 1), "stem_channels": 32, **shape, **how})
        shapes = model.config.tensor_specs()
        model.load_state_dict({name: values.tensor_value(name, tuple(s), seed) for name, s in shapes})
        return model

    yield "small", made(11, num_classes=5), [(2, 40, 48), (1, 33, 65), (5, 64, 31)]
    yield "grouped", pybit.load(grouped_file(values, folder), **how), [(3, 37, 50)]
    yield "grey", made(12, num_classes=3, in_chans=1, units=(1, 2, 1, 1)), [(1, 64, 64)]
    yield "dilated", made(13, num_classes=0, output_stride=8), [(1, 48, 48)]
    yield "wide", made(14, num_classes=10, stem_channels=64, units=(1, 1, 1, 2)), [(2, 40, 56)]


def images(values: Any, model: Any, shape: tuple[int, int, int], seed: int = 5) -> Any:
    n, h, w = shape
    x = values.image_batch((n, model.config.in_channels, h, w), seed)
    return x.astype(np.float64) if model.dtype == "float64" else x


def forward(record: Record, name: str, model: Any, x: Any, threads: int) -> None:
    features, maps = model.forward_intermediates(x, threads=threads)
    record.arrays(name, {f"level {i}": m for i, m in enumerate(maps)})
    record.array(f"{name}/features", features)
    record.array(f"{name}/pooled", model.forward_head(features, pre_logits=True, threads=threads))
    record.array(f"{name}/logits", model(x, threads=threads))
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    record.array(f"{name}/nhwc", model(channels_last, layout="nhwc", threads=threads))


# ---- parts that depend on the instruction set
def record_forward(record: Record, values: Any, folder: Path) -> None:
    import pybit

    for dtype in ("float32", "bfloat16"):
        for net, model, shapes in models(values, folder, dtype=dtype):
            for shape in shapes:
                for t in THREADS:
                    name = f"threads {t}/forward {dtype} auto/{net} {shape}"
                    forward(record, name, model, images(values, model, shape), t)
        for algorithm in ("direct", "winograd", "winograd_2x2", "winograd_4x4"):
            for net, model, shapes in models(values, folder, dtype=dtype, algorithm=algorithm):
                if net == "dilated":
                    break
                for t in THREADS:
                    features = model.forward_features(images(values, model, shapes[0]), threads=t)
                    record.array(f"threads {t}/forward {dtype} {algorithm}/{net}", features)
    path = folder / "BiT-M-R50x1-ILSVRC2012.npz"
    np.savez(path, **values.checkpoint((3, 4, 6, 3), 1, 1000, 7))
    for dtype in ("float32", "bfloat16"):
        model = pybit.load(path, dtype=dtype)
        for t in THREADS:
            logits = model(values.image_batch((1, 3, 97, 161), 7), threads=t)
            record.array(f"threads {t}/forward {dtype} auto/R50x1", logits)
    path.unlink()


def record_gradients(record: Record, values: Any, folder: Path) -> None:
    for dtype in ("float32", "bfloat16"):
        for net, model, shapes in models(values, folder, dtype=dtype):
            if not model.num_classes:
                continue
            for t in THREADS:
                x = images(values, model, shapes[0])
                loss, found = model.gradients(x, np.arange(len(x)) % model.num_classes, threads=t)
                record.numbers(f"threads {t}/gradients {dtype}/{net}/loss", loss)
                record.arrays(f"threads {t}/gradients {dtype}/{net}", found)


# Name, optimizer, its options, options of each step, whether it is recorded with 1 and 3 threads as well.
TRACES: list[tuple[str, str, dict[str, Any], dict[str, Any], bool]] = [
    ("sgd", "sgd", {"momentum": 0.9}, {}, True),
    ("sgd recomputed", "sgd", {"momentum": 0.9, "recompute": "units"}, {}, True),
    ("sgd in parts", "sgd", {"momentum": 0.9}, {"batch_split": 3}, False),
    ("nesterov", "sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}, {}, False),
    ("plain", "sgd", {"momentum": 0.0, "clip_norm": 0.5, "decay_vectors": False, "weight_decay": 0.01}, {}, False),
    ("smooth", "sgd", {"momentum": 0.9}, {"label_smoothing": 0.1}, False),
    ("adam", "adam", {"betas": (0.8, 0.99), "weight_decay": 0.01, "clip_norm": 1.0}, {}, True),
    ("adamw", "adamw", {"weight_decay": 0.1, "layer_decay": 0.7, "groups": [("resnet/head/*", 10.0, 0.0)]}, {}, False),
    ("frozen", "sgd", {"freeze": ["resnet/root_block/*", "resnet/block1/*"]}, {}, False),
    ("head", "sgd", {"train": ["resnet/head/*"]}, {}, False),
]


def record_traces(record: Record, values: Any, folder: Path) -> None:
    import pybit

    for dtype in ("float32", "bfloat16"):
        for name, optimizer, options, per_step, every_thread_count in TRACES:
            for t in THREADS if every_thread_count else (2,):
                model = next(models(values, folder, dtype=dtype))[1]
                rate = 1e-3 if optimizer != "sgd" else 1e-2
                trainer = pybit.Trainer(model, optimizer, **options)
                losses = []
                for step in range(3):
                    x = images(values, model, (4, 33, 40), 100 + step)
                    y: Any = (np.arange(4) + step) % 5
                    if step == 2:  # soft targets, as mixup makes them
                        y = 0.7 * np.eye(5)[y] + 0.3 * np.eye(5)[(y + 1) % 5]
                    losses.append(trainer.step(x, y, rate, threads=t, **per_step))
                where = f"threads {t}/trace {dtype}/{name}"
                record.numbers(f"{where}/losses", *losses)
                record.state(f"{where}/parameters", model)


def record_runs(record: Record, values: Any, folder: Path) -> None:
    import pybit

    word = "optimizer" if "optimizer" in inspect.signature(pybit.Trainer).parameters else "optimiser"
    photos = image_folder(folder / "photos")
    start = folder / "start.npz"
    next(models(values, folder))[1].save(start)
    plain: dict[str, Any] = {"seed": 5, "save_every": 2, "eval_every": 2, "schedule": [1, 2, 3, 4], "mixup_alpha": 0.1}
    runs: dict[str, dict[str, Any]] = {
        "hyper rule": {},
        "pytorch": {"compat": "pytorch", "batch_split": 2},
        "jax": {"compat": "jax"},
        "tf2": {"compat": "tf2"},
        "sigmoid adamw": {"loss": "sigmoid", word: "adamw", "mixup_alpha": 0.0, "label_smoothing": 0.0},
        "adam": {word: "adam", "clip_norm": 1.0},
        "bfloat16": {"dtype": "bfloat16"},
        "recomputed": {"recompute": "units"},
        "kept features": {"train": ["resnet/head/*"], "keep_features": True, "mixup_alpha": 0.0, "flip": "never"},
    }
    for name, options in runs.items():
        for t in THREADS if name == "hyper rule" else (2,):
            told: list[float] = []
            run = f"{name} {t}"
            done = pybit.fine_tune(
                start,
                photos,
                logdir=folder / "runs",
                name=run,
                on_step=lambda step, loss, rate, *_, told=told: told.extend((step, loss, rate)),
                **{"batch": 8, "resolution": (36, 32), "base_lr": 0.01, "threads": t, **plain, **options},
            )
            where = f"threads {t}/run/{name}"
            record.numbers(f"{where}/steps", *told)
            record.state(f"{where}/parameters", done.model)
            evaluation: Any = done.evaluation
            record.numbers(f"{where}/evaluation", evaluation.loss, evaluation.top1, evaluation.top5)
            # The run's name is the same for every number of threads but for the folder.
            for file in ("last", "best"):
                record.checkpoint(f"{where}/{file}", folder / "runs" / run / f"{file}.safetensors")


# ---- parts that do not depend on it
def image_folder(root: Path) -> Path:
    """Three classes of six PNG files; written with the standard library."""
    for c in range(3):
        (root / f"class{c}").mkdir(parents=True)
        for i in range(6):
            h, w = 24 + i, 28 + c
            rng = np.random.Generator(np.random.PCG64([c, i]))
            pixels = rng.integers(0, 256, (h, w, 3), dtype=np.uint8) // (c + 1)
            (root / f"class{c}" / f"{i}.png").write_bytes(png(pixels))
    return root


def png(pixels: Any) -> bytes:
    h, w, _ = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def record_reference(record: Record, values: Any, folder: Path) -> None:
    """float64 runs on the reference backend, which knows no instruction sets."""
    import pybit

    for net, model, shapes in models(values, folder, dtype="float64"):
        x = images(values, model, (1, *shapes[0][1:]))
        forward(record, f"forward/{net}", model, x, 1)
        if net in ("small", "grey"):
            loss, found = model.gradients(x, np.zeros(1, np.int64))
            record.numbers(f"gradients/{net}/loss", loss)
            record.arrays(f"gradients/{net}", found)
    model = next(models(values, folder, dtype="float64"))[1]
    trainer = pybit.Trainer(model, momentum=0.9, nesterov=True, weight_decay=1e-3, clip_norm=1.0)
    losses = [trainer.step(images(values, model, (2, 33, 40), s), np.arange(2), 0.01) for s in range(2)]
    record.numbers("trace/losses", *losses)
    record.state("trace/parameters", model)


def record_data(record: Record, values: Any, folder: Path) -> None:
    """Files, images, data sets and probes."""
    import pybit

    for net, model, _ in models(values, folder):
        for names in ("official", "timm", "transformers"):
            for suffix in (".npz", ".safetensors"):
                path = folder / f"saved{suffix}"
                model.save(path, names=names)
                record.checkpoint(f"saved/{net}/{names}{suffix}", path)
    photos = image_folder(folder / "photos")
    for mode in ("squash", "center_crop"):
        for interpolation in ("bilinear", "bicubic"):
            for resampling in ("pillow", "pillow12", "tf") if interpolation == "bilinear" else ("pillow", "pillow12"):
                how: Any = {"mode": mode, "interpolation": interpolation, "resampling": resampling}
                for size in (17, 48, (20, 61)):
                    record.array(f"preprocess/{how} {size}", pybit.preprocess(photos / "class1", size, **how))
    draw = np.random.Generator(np.random.PCG64(3))
    byte_image, float_image = draw.integers(0, 256, (2, 31, 45, 3), dtype=np.uint8), draw.random((1, 31, 45, 3))
    record.array("preprocess/bytes", pybit.preprocess(byte_image, 40, layout="nhwc"))
    record.array("preprocess/floats", pybit.preprocess(float_image.astype(np.float32), 40))
    train, validation = pybit.datasets.open(photos, seed=4)
    for how in ({}, {"resampling": "tf"}):
        batches = train.batches(4, resize=30, crop=24, seed=6, **how)
        for number, batch in zip(range(5), batches, strict=False):
            record.array(f"batches/{how} {number} images", batch.images)
            record.array(f"batches/{how} {number} labels", batch.labels)
    record.array("few shot", train.few_shot(2, 7, "exact").labels)
    rule = pybit.hyper_rule(50_000, (32, 32))
    record.numbers("hyper rule", *(rule.lr(step) or 0.0 for step in range(0, rule.steps, 7)))
    model = next(models(values, folder))[1]
    model.reset_classifier(3, head="new", seed=2)
    found: Any = pybit.evaluate(model, validation, size=32, per_class=True)
    record.numbers("evaluate", found.loss, found.top1, found.top5, *found.classes.confusion.ravel())
    features = model.embed(photos, preprocessing=pybit.PreprocessSpec(32))
    record.array("embed", features.features)
    probe = pybit.probe.fit_linear(features.features, features.classes)
    record.arrays("probe", {"weights": probe.weights, "bias": probe.bias, "ridge": probe.ridge})


Part = Callable[["Record", Any, Path], None]
BY_ISA: list[Part] = [record_forward, record_gradients, record_traces, record_runs]
FIXED: dict[str, Part] = {"reference": record_reference, "data": record_data}
