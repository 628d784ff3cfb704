# SPDX-License-Identifier: Apache-2.0
"""The command line: `pybit COMMAND ...` or `python -m pybit COMMAND ...`.

Results go to standard output, everything else to standard error. Exit codes: 0 success, 1 a problem in the data (a
file that cannot be read, a checkpoint that is no BiT network), 2 a mistake in the command, 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from pybit.base.version import __version__
from pybit.cli._common import reason
from pybit.errors import BitError, ConfigError, DivergedError

# Each is a module of this package with NAME, HELP, configure(parser) and run(args) -> exit code.
COMMANDS = (
    "predict",
    "embed",
    "probe",
    "train",
    "eval",
    "list",
    "download",
    "inspect",
    "convert",
    "export",
    "summary",
    "profile",
    "info",
)

_DESCRIPTION = "Big Transfer (BiT) models on images: classify, embed, fine-tune, evaluate, and look after checkpoints."
_EPILOG = """examples:
  pybit predict cat.jpg --model BiT-M-R50x1-ILSVRC2012
  pybit embed photos/ --model r50x1.npz -o features.npz
  pybit probe features.npz --shots 1,5,full
  pybit train --name photos --logdir runs --model BiT-M-R50x1 --data photos/

Run `pybit COMMAND --help` for a command's options. Exit codes: 0 success, 1 a problem in the data, 2 a mistake in the
command. NO_COLOR turns colours off."""


def colour(text: str, code: str, stream: TextIO) -> str:
    """`text` in a terminal colour where `stream` is a terminal that wants one."""
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{code}m{text}\033[0m" if wanted else text


def _say(kind: str, text: str, code: str) -> None:
    print(f"pybit: {colour(kind, code, sys.stderr)}: {text}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say("warning", str(message), "33")


class _Parser(argparse.ArgumentParser):
    """Mistakes are one line: the usage of `train` alone would be forty."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; `{self.prog} --help` tells all\n")

    def refuse(self, unknown: list[str]) -> NoReturn:
        """Report arguments that mean nothing here, with the option that may have been meant."""
        options = [o for action in self._actions for o in action.option_strings]
        near = difflib.get_close_matches(unknown[0].split("=")[0], options, n=1)
        self.error(f"unknown argument {unknown[0]!r}" + (f", did you mean {near[0]}?" if near else ""))


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line, or of one command: the others' modules then need not be imported."""
    parser = _Parser(
        prog="pybit", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"pybit {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS if only is None else (only,):
        module = importlib.import_module(f"pybit.cli.{name}")
        sub = commands.add_parser(
            module.NAME, help=module.HELP, description=module.HELP, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        module.configure(sub)
        sub.set_defaults(run=module.run, refuse=sub.refuse)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a module of this package
    args, unknown = make_parser(given[0] if given and given[0] in COMMANDS else None).parse_known_args(given)
    if unknown:
        args.refuse(unknown)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # labels must not fail on a terminal without their letters
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            code: int = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        _say("interrupted", "nothing more was written", "31")
        return 130
    except BrokenPipeError:  # the reader, e.g. `head`, has gone: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BitError, ValueError, OSError, ImportError, MemoryError, DivergedError) as e:
        if args.debug:
            raise
        _say("error", reason(e), "31")
        return 2 if isinstance(e, ConfigError) else 1
