"""pybit train, python -m pybit.train"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybit.cli import _common, _train_optimiser
from pybit.cli._train_optimiser import add as _add
from pybit.errors import ConfigError

if TYPE_CHECKING:
    from pybit._dataset import Splits
    from pybit._fine_tune import FineTuned, FineTuning
    from pybit._train_log import TrainLog

NAME = "train"
HELP = "fine-tune a model on labelled images by BiT-HyperRule"
_EPILOG = """The recipe is printed first. The run's folder LOGDIR/NAME holds last.safetensors (to continue from),
best.safetensors (to use), train.log, metrics.jsonl and curve.png. The same command again continues an interrupted run,
to the same bits as without the interruption. Ctrl-C once finishes the step and saves; twice stops at once.

Every flag of bit_pytorch.train, bit_jax.train and bit_tf2.train is here, with its default; where they differ from what
was meant, --compat follows one of them.

examples:
  pybit train --name photos --logdir runs --model BiT-M-R50x1 --data photos/
  pybit train --name c10 --logdir runs --model BiT-M-R50x1 --dataset cifar10 --datadir data/ --eval_every 100
  pybit train --name few --logdir runs --model r50x1.npz --data photos/ --examples_per_class 5 --batch 32"""

# Classes of the reference's data sets, and the part that its TensorFlow pipelines train on (DATASET_SPLITS).
_KNOWN = {
    "cifar10": (10, 0.98),
    "cifar100": (100, 0.98),
    "oxford_iiit_pet": (37, 1.0),
    "oxford_flowers102": (102, 1.0),
    "imagenet2012": (1000, 0.99),
}
_ARCHIVES = {
    "cifar10": ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
    "cifar100": ("cifar-100-python", "cifar-100-binary", "cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def _bytes(text: str) -> int:
    """An argparse type: "8GiB", "512M", or a number of bytes."""
    plain = text.strip().lower().removesuffix("ib").removesuffix("b")
    unit = plain[-1:] if plain[-1:] in _UNITS else ""
    try:
        value = int(float(plain.removesuffix(unit)) * _UNITS[unit])
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an amount like 8GiB or 512M, got {text!r}")
    return value


def _schedule(text: str) -> list[int]:
    parts = text.split(",")
    if not all(p.strip().isdecimal() for p in parts):
        raise argparse.ArgumentTypeError(f"expected steps like 100,200,300, got {text!r}")
    return [int(p) for p in parts]


def _add_reference_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the reference's flags")
    positive = _common.positive
    group.add_argument("--name", required=True, help="of the run")
    group.add_argument("--logdir", required=True, metavar="FOLDER", help="the run's folder is FOLDER/NAME")
    group.add_argument(
        "--model", default="BiT-M-R50x1", metavar="NAME_OR_FILE", help="to start from (default: BiT-M-R50x1)"
    )
    _add(group, "bit_pretrained_dir", default=".", metavar="FOLDER", help="where NAME.npz lies (default: .)")
    group.add_argument("--dataset", choices=list(_KNOWN), help="in --datadir, with the reference's image size")
    group.add_argument("--datadir", metavar="FOLDER", help="where the data set lies")
    _add(group, "tfds_manual_dir", metavar="FOLDER", help="the same, as bit_jax and bit_tf2 call it")
    _add(group, "examples_per_class", type=positive, metavar="K", help="train on K images of each class")
    _add(group, "examples_per_class_seed", type=int, default=0, metavar="N", help="chooses them (default: 0)")
    group.add_argument("--batch", type=positive, default=512, metavar="N", help="images per step (default: 512)")
    _add(group, "batch_split", type=positive, metavar="N", help="parts of a step (default: as few as fit the memory)")
    _add(group, "base_lr", type=float, default=0.003, metavar="RATE", help="after the warm-up (default: 0.003)")
    group.add_argument("--lr", dest="base_lr", type=float, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    _add(group, "eval_every", type=positive, metavar="N", help="steps between evaluations (default: at the end only)")
    _add(group, "batch_eval", type=positive, default=32, metavar="N", help="images per evaluation batch (default: 32)")
    group.add_argument("--workers", type=positive, default=8, metavar="N", help="threads that decode (default: 8)")
    group.add_argument(
        "--no-save", dest="save", action="store_false", help="write no checkpoints; nothing can be continued"
    )


def _add_data_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data", metavar="PATH", help="a folder of images, a CSV list, or a CIFAR archive")
    _add(group, "validation_fraction", type=float, default=0.2, metavar="P", help="held out of each class where the "
         "data has no validation part (default: 0.2)")  # fmt: skip
    _add(group, "split_seed", type=int, default=0, metavar="N", help="chooses what is held out (default: 0)")
    _add(group, "class_order", choices=("natural", "lexical"), help="numbers a folder's classes (default: natural)")
    _add(group, "skip_corrupt", action="store_true", help="leave out images that cannot be read and name them")


def _add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recipe")
    positive = _common.positive
    group.add_argument("--compat", choices=("none", "pytorch", "jax", "tf2"), default="none", help="whose habits")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    group.add_argument("--steps", type=positive, metavar="N", help="the rule's schedule scaled to N steps")
    group.add_argument("--schedule", type=_schedule, metavar="A,B,..", help="instead of the rule's")
    group.add_argument("--resize", type=positive, metavar="N", help="instead of the rule's; with --crop")
    group.add_argument("--crop", type=positive, metavar="N", help="instead of the rule's; with --resize")
    group.add_argument("--mixup", type=float, metavar="ALPHA", help="instead of the rule's; 0: none")
    group.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="number format to compute in; weights are float32",
    )
    group.add_argument("--flip", choices=("random", "always", "never"), help="mirroring (default: random)")
    group.add_argument("--loss", choices=("softmax", "sigmoid"), default="softmax", help="(default: softmax)")
    _add(group, "label_smoothing", type=float, default=0.0, metavar="P", help="(default: 0)")
    _add(group, "keep_features", action="store_true", default=None, help="compute a frozen trunk's features once")


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    _add(group, "memory_limit", type=_bytes, metavar="BYTES", help="e.g. 8GiB (default: what is free now)")
    group.add_argument(
        "--recompute", choices=("auto", "none", "units"), default="auto", help="save memory (default: auto, if it must)"
    )
    group.add_argument("--threads", type=_common.positive, default=0, metavar="N", help="threads that compute")
    _add(group, "save_every", type=_common.positive, metavar="N", help="steps between checkpoints")
    _add(group, "save_seconds", type=float, default=600.0, metavar="S", help="saves at least so often (default: 600)")
    group.add_argument("--tensorboard", action="store_true", help="also write TensorBoard events into the run's folder")
    _add(group, "dry_run", action="store_true", help="print the recipe and stop")
    group.add_argument("--quiet", "-q", action="store_true", help="warnings and errors only; train.log has the rest")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    _add_reference_flags(parser)
    _add_data_flags(parser)
    _add_recipe_flags(parser)
    _train_optimiser.configure(parser)
    _add_run_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Train, or say why not."""
    if (args.resize is None) != (args.crop is None):
        raise ConfigError("expected both --resize and --crop, or neither")
    optimiser = _train_optimiser.options(args)
    if args.tensorboard:
        _check_tensorboard(args)
    model, data = _model_file(args), _open_data(args)
    resolved = _resolve(args, model, data, optimiser)
    resolved.estimate()
    if args.dry_run:
        print(resolved.recipe)
        return 0
    from pybit._train_log import TrainLog

    folder = Path(args.logdir) / args.name
    log = TrainLog(folder, quiet=args.quiet)
    try:
        log.info(resolved.recipe)
        log.begin(resolved.steps)
        done, number = _run_with_signals(resolved, log, args.tensorboard)
        _tell_end(args, done, log, folder)
    finally:
        log.close()
    return 128 + number if done.interrupted and number is not None else 0


# ---- what the options mean
def _model_file(args: argparse.Namespace) -> str:
    """The checkpoint: a file, NAME.npz and its like in --bit_pretrained_dir, or a released model from the cache."""
    for candidate in (args.model, *(os.path.join(args.bit_pretrained_dir, args.model + e) for e in _ENDINGS)):
        if os.path.exists(candidate):
            return str(candidate)
    if _common.looks_like_file(args.model):
        os.stat(args.model)
    from pybit import hub
    from pybit.registry import model_info

    return os.fspath(hub.download(model_info(args.model).name))


_ENDINGS = (".npz", ".safetensors", ".h5", ".pth", ".pt")


def _open_data(args: argparse.Namespace) -> Splits:
    from pybit import datasets

    folder = args.datadir or args.tfds_manual_dir
    given = [p for p in (args.data, folder) if p is not None]
    if len(given) != 1:
        raise ConfigError("expected --data PATH, or --dataset NAME --datadir FOLDER")
    path = given[0]
    for name in _ARCHIVES.get(args.dataset, ()):
        if os.path.exists(os.path.join(path, name)):
            path = os.path.join(path, name)
            break
    order: Any = _class_order(args)
    found = datasets.open(path, validation_fraction=args.validation_fraction, seed=args.split_seed, order=order)
    if args.dataset is not None and len(found.train.class_names) != _KNOWN[args.dataset][0]:
        raise ConfigError(
            f"expected {_KNOWN[args.dataset][0]} classes of {args.dataset} in {path}, got "
            f"{len(found.train.class_names)}; leave out --dataset for a data set of your own"
        )
    return found


def _class_order(args: argparse.Namespace) -> str:
    return args.class_order or ("lexical" if args.compat == "pytorch" else "natural")


def _check_tensorboard(args: argparse.Namespace) -> None:
    from pybit._tensorboard import writer_class

    writer_class()
    if not args.save:
        raise ConfigError("expected --tensorboard without --no-save, which writes nothing but train.log")


def _resolve(args: argparse.Namespace, model: str, data: Splits, optimiser: dict[str, Any]) -> FineTuning:
    import pybit

    options: dict[str, Any] = {
        **optimiser,
        "batch_split": args.batch_split,
        "memory_limit": args.memory_limit,
        "recompute": args.recompute,
        "keep_features": args.keep_features,
        "eval_every": args.eval_every,
        "save_every": args.save_every,
        "steps": args.steps,
        "schedule": args.schedule,
        "mixup_alpha": args.mixup,
        "flip": args.flip,
        "resolution": (args.resize, args.crop) if args.resize else None,
    }
    if args.dataset is not None:
        options["image_size"] = pybit.recipe.known_image_size(args.dataset)
        if args.compat in ("jax", "tf2"):
            data, options["examples"] = _tensorflow_part(args, data)
    flags = {"validation_fraction": str(args.validation_fraction), "split_seed": str(args.split_seed)}
    flags["class_order"] = _class_order(args)
    if args.save:
        options |= {"logdir": args.logdir, "name": args.name}
    return pybit.FineTuning(
        model,
        data,
        examples_per_class=args.examples_per_class,
        examples_per_class_seed=args.examples_per_class_seed,
        compat=args.compat,
        flags=flags,
        batch=args.batch,
        base_lr=args.base_lr,
        seed=args.seed,
        loss=args.loss,
        dtype=args.dtype,
        label_smoothing=args.label_smoothing,
        eval_batch=args.batch_eval,
        save_seconds=args.save_seconds,
        workers=args.workers,
        skip_corrupt=args.skip_corrupt,
        threads=args.threads,
        **{name: value for name, value in options.items() if value is not None},
    )


def _tensorflow_part(args: argparse.Namespace, data: Splits) -> tuple[Splits, int | None]:
    """train[:98%] of the set, and the size that its HyperRule is told: all of it."""
    whole = len(data.train)
    part = data.train.subset(range(int(_KNOWN[args.dataset][1] * whole)))
    return data._replace(train=part), None if args.examples_per_class else whole


# ---- the run
def _run_with_signals(resolved: FineTuning, log: TrainLog, tensorboard: bool) -> tuple[FineTuned, int | None]:
    """The run in a thread of its own, since signals reach Python in the main thread only, and a step takes long. The
    first SIGINT or SIGTERM asks the run to stop after its step, the second does what it does to any program."""
    asked: list[int] = []
    outcome: list[Any] = []

    def ask(number: int, _: Any) -> None:
        asked.append(number)
        for n in (signal.SIGINT, signal.SIGTERM):
            signal.signal(n, signal.SIG_DFL)
        log.warning("interrupted: the step in work is finished and saved; once more stops at once")

    def work() -> None:
        try:
            outcome.append(
                resolved.start(
                    tensorboard=tensorboard,
                    on_part=log.on_part,
                    on_step=log.on_step,
                    on_evaluation=log.on_evaluation,
                    on_skipped=log.on_skipped,
                    should_stop=lambda: bool(asked),
                )
            )
        except BaseException as e:
            outcome.append(e)

    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=work, name="training")
    try:
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0], asked[0] if asked else None


def _tell_end(args: argparse.Namespace, done: FineTuned, log: TrainLog, folder: Path) -> None:
    log.info("Timings: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in done.seconds.items()))
    if done.interrupted and args.save:
        log.warning(f"stopped after step {done.steps}; the same command continues from {folder / 'last.safetensors'}")
    elif done.interrupted:
        log.warning(f"stopped after step {done.steps}; nothing was saved, as --no-save says")
    if done.best is not None:
        log.info(f"best top1 {100 * done.best:.2f}% at step {done.best_step}")
    if not args.save:
        return
    from pybit._train_log import save_curve

    try:
        save_curve(folder / "metrics.jsonl", folder / "curve.png")
    except ImportError:
        log.info("no curve.png: it needs matplotlib (pip install big-transfer[plots])")
    use = folder / ("best.safetensors" if done.best is not None else "last.safetensors")
    if not done.interrupted:
        print(use, file=sys.stdout)
