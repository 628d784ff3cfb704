# SPDX-License-Identifier: Apache-2.0
"""pybit train, python -m pybit.train"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from pybit.cli import _common, _inputs, _train_flags, _train_optimizer
from pybit.cli._train_flags import KNOWN
from pybit.data import datasets
from pybit.data.dataset import Splits
from pybit.data.folders import LISTS
from pybit.errors import ConfigError, FormatError
from pybit.model.source import checkpoint_path, looks_like_file, run_checkpoint
from pybit.quality.decode import unreadable
from pybit.train.fine_tuning import FineTuning
from pybit.train.log import TrainLog
from pybit.train.recipe import known_image_size
from pybit.train.result import FineTuned
from pybit.train.tensorboard import writer_class

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

_ARCHIVES = {
    "cifar10": ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
    "cifar100": ("cifar-100-python", "cifar-100-binary", "cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    _train_flags.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Train, or say why not."""
    if (args.resize is None) != (args.crop is None):
        raise ConfigError("expected both --resize and --crop, or neither")
    optimizer = _train_optimizer.options(args)
    if args.tensorboard:
        _check_tensorboard(args)
    model, data = _model_file(args), _open_data(args)
    if args.check:
        _decode_all(args, data)
    resolved = _resolve(args, model, data, optimizer)
    resolved.estimate()
    if args.dry_run:
        print(resolved.recipe)
        return 0
    folder = Path(args.logdir) / args.name
    log = TrainLog(folder, quiet=args.quiet)
    try:
        done, number = _run_with_signals(resolved, log, args.tensorboard)
    finally:
        log.close()
    if args.save and not done.interrupted:
        print(folder / ("best.safetensors" if done.best is not None else "last.safetensors"))
    return 128 + number if done.interrupted and number is not None else 0


# ---- what the options mean
def _model_file(args: argparse.Namespace) -> str:
    """The checkpoint: a file, a run's best one, NAME.npz and its like in --bit_pretrained_dir, or a released one."""
    for candidate in (args.model, *(os.path.join(args.bit_pretrained_dir, args.model + e) for e in _ENDINGS)):
        if os.path.exists(candidate):
            return run_checkpoint(candidate)
    if looks_like_file(args.model):
        os.stat(args.model)
    return checkpoint_path(args.model)


_ENDINGS = (".npz", ".safetensors", ".h5", ".pth", ".pt")


def _open_data(args: argparse.Namespace) -> Splits:
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
    if args.report:
        _common.check_output(args.report)
    reading: dict[str, Any] = _inputs.list_options(args) if path.lower().endswith(LISTS) else {}
    reading["max_pixels"] = args.max_pixels
    if args.validation is not None:
        reading |= _inputs.list_options(args) if args.validation.lower().endswith(LISTS) else {}
    found = datasets.open(
        path,
        validation=args.validation,
        validation_fraction=args.validation_fraction,
        seed=args.split_seed,
        order=order,
        **reading,
    )
    _inputs.write_report(args, found.train.report)
    if args.dataset is not None and len(found.train.class_names) != KNOWN[args.dataset][0]:
        raise ConfigError(
            f"expected {KNOWN[args.dataset][0]} classes of {args.dataset} in {path}, got "
            f"{len(found.train.class_names)}; leave out --dataset for a data set of your own"
        )
    return found


def _decode_all(args: argparse.Namespace, data: Splits) -> None:
    """Name the images that cannot be decoded. Raises FormatError if there are some, unless they are to be left out."""
    found = [entry for part in data for entry in unreadable(part, False if args.quiet else None)]
    for name, reason in found:
        print(f"pybit: {reason if name in reason else f'{name}: {reason}'}", file=sys.stderr)
    if found and not args.skip_corrupt:
        total = sum(len(part) for part in data)
        raise FormatError(f"{len(found)} of {total} images cannot be read; --skip_corrupt leaves them out")


def _class_order(args: argparse.Namespace) -> str:
    return args.class_order or ("lexical" if args.compat == "pytorch" else "natural")


def _check_tensorboard(args: argparse.Namespace) -> None:
    writer_class()
    if not args.save:
        raise ConfigError("expected --tensorboard without --no-save, which writes nothing but train.log")


def _resolve(args: argparse.Namespace, model: str, data: Splits, optimizer: dict[str, Any]) -> FineTuning:
    options: dict[str, Any] = {
        **optimizer,
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
        options["image_size"] = known_image_size(args.dataset)
        if args.compat in ("jax", "tf2"):
            data, options["examples"] = _tensorflow_part(args, data)
    for name in ("head", "class_weights", "sampling", "best_by", "patience", "max_minutes"):
        options[name] = getattr(args, name)
    flags = {"validation_fraction": str(args.validation_fraction), "split_seed": str(args.split_seed)}
    flags["class_order"] = _class_order(args)
    if args.validation is not None:
        del flags["validation_fraction"], flags["split_seed"]
        flags["validation"] = args.validation
    if args.save:
        options |= {"logdir": args.logdir, "name": args.name}
    return FineTuning(
        model,
        data,
        examples_per_class=args.examples_per_class,
        examples_per_class_seed=args.examples_per_class_seed,
        compat=args.compat,
        flags=flags,
        batch=args.batch,
        base_lr=args.base_lr,
        preset=args.preset,
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
    part = data.train.subset(range(int(KNOWN[args.dataset][1] * whole)))
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
                    log=log,
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
