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
    "check",
    "embed",
    "probe",
    "train",
    "runs",
    "report",
    "eval",
    "list",
    "download",
    "inspect",
    "convert",
    "export",
    "summary",
    "profile",
    "info",
    "completion",
)

_DESCRIPTION = "Big Transfer (BiT) models on images: classify, embed, fine-tune, evaluate, and look after checkpoints."
_EPILOG = """examples:
  pybit predict cat.jpg --model BiT-M-R50x1-ILSVRC2012
  pybit embed photos/ --model r50x1.npz -o features.npz
  pybit probe features.npz --shots 1,5,full
  pybit train --name photos --logdir runs --model BiT-M-R50x1 --data photos/

Run `pybit COMMAND --help` for a command's options. Exit codes: 0 success, 1 a problem in the data, 2 a mistake in the
command. NO_COLOR turns colours off."""


# Options of other programs, and what to write here.
_MEANT = {
    "--epochs": "runs are counted in steps: --steps N (images / batch steps are an epoch)",
    "--lr": "the rate is --base_lr",
    "--learning-rate": "the rate is --base_lr",
    "--device": "it computes on the processor",
    "--gpu": "it computes on the processor",
}


def colour(text: str, code: str, stream: TextIO) -> str:
    """`text` in a terminal colour where `stream` is a terminal that wants one."""
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{code}m{text}\033[0m" if wanted else text


def _say(kind: str, text: str, code: str) -> None:
    if sys.stderr is None:  # closed by the caller, as of daemons
        return
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
        given = unknown[0].split("=")[0]
        near = difflib.get_close_matches(given, options, n=1)
        others: dict[str, str] = self.get_default("other_names") or {}
        meant = others.get(given.replace("_", "-")) or (near[0] if near else None)
        hint = _MEANT.get(given) or (f"did you mean {meant}?" if meant else "")
        self.error(f"unknown argument {unknown[0]!r}" + (f", {hint}" if hint else ""))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of argparse; an option may be written with underscores where it has hyphens."""
        return super().parse_known_args(None if args is None else [*map(self._hyphens, args)], namespace)

    def _hyphens(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        known = self._option_string_actions
        changed = name.replace("_", "-")
        return changed + equals + value if name[:2] == "--" and name not in known and changed in known else argument


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
            module.NAME,
            help=module.HELP,
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # two spellings of a flag would make each abbreviation of it ambiguous
        )
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        module.configure(sub)
        sub.set_defaults(run=module.run, refuse=sub.refuse)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a module of this package
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        near = difflib.get_close_matches(given[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        _Parser(prog="pybit").error(f"there is no command {given[0]!r}, {hint}")
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
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt as e:
        _say("interrupted", str(e) or "nothing more was written", "31")
        return 130
    except BrokenPipeError:  # the reader, e.g. `head`, has gone: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BitError, ValueError, OSError, ImportError, MemoryError, DivergedError) as e:
        if args.debug:
            raise
        _say("error", reason(e), "31")
        return 2 if isinstance(e, ConfigError) else 1
