# SPDX-License-Identifier: Apache-2.0
"""pybit completion"""

from __future__ import annotations

import argparse
import importlib
from typing import NamedTuple

from pybit.registry import list_models

NAME = "completion"
HELP = "print a script that completes commands, flags and their values in bash or zsh"
_EPILOG = """examples:
  pybit completion bash > ~/.local/share/bash-completion/completions/pybit
  eval "$(pybit completion zsh)"      # in ~/.zshrc, after compinit"""


class _Flag(NamedTuple):
    name: str
    takes: str
    """What follows the flag: "" for nothing, "files", or words."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", choices=("bash", "zsh"))


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The script for a shell; zsh runs bash's by its own bashcompinit."""
    from pybit.cli import COMMANDS

    cases = "\n".join(_case(name) for name in COMMANDS)
    text = _BASH.replace("@COMMANDS@", " ".join(COMMANDS)).replace("@CASES@", cases)
    start = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return start + text.replace("@MODELS@", " ".join(list_models()))


def _case(command: str) -> str:
    """The part of the script for one command: its flags, and what follows each."""
    parser = argparse.ArgumentParser(prog=f"pybit {command}")
    importlib.import_module(f"pybit.cli.{command}").configure(parser)
    flags = _flags_of(parser)
    lines = [f"    {command})", f'      flags="{" ".join(flag.name for flag in flags)}"']
    words = [str(word) for action in parser._get_positional_actions() for word in action.choices or ()]
    if words:
        lines.append(f'      values="{" ".join(words)}"')
    lines.append('      case "$before" in')
    for takes in sorted({flag.takes for flag in flags if flag.takes}):
        names = "|".join(flag.name for flag in flags if flag.takes == takes)
        lines.append(f'        {names}) values="{takes}" ;;')
    return "\n".join([*lines, "      esac ;;"])


def _flags_of(parser: argparse.ArgumentParser) -> list[_Flag]:
    found = []
    for action in parser._actions:  # argparse has no other way to list them
        if action.help == argparse.SUPPRESS:
            continue
        takes = ""
        if action.nargs != 0:
            takes = " ".join(map(str, action.choices)) if action.choices else "@files"
            if "--model" in action.option_strings:
                takes = "@models"
        found += [_Flag(name, takes) for name in action.option_strings if name.startswith("--")]
    return found


_BASH = """# completion of pybit, made by `pybit completion`
_pybit() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" flags="" values=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "@COMMANDS@ --help --version" -- "$word"))
    return
  fi
  case "${COMP_WORDS[1]}" in
@CASES@
  esac
  if [ "$values" = "@models" ]; then
    COMPREPLY=($(compgen -W "@MODELS@" -- "$word") $(compgen -f -- "$word"))
  elif [ -n "$values" ] && [ "$values" != "@files" ]; then
    COMPREPLY=($(compgen -W "$values" -- "$word"))
  elif [ -z "$values" ] && [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _pybit pybit"""
