# SPDX-License-Identifier: Apache-2.0
"""The table "Public names" in HACKING.md: each name in it exists in C++, in Python and in the shell."""

from __future__ import annotations

import argparse
import functools
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit import cli
from small_models import small_model

ROOT = Path(__file__).parents[2]


def table() -> list[list[str]]:
    """The rows under the heading, each with its four cells."""
    text = (ROOT / "HACKING.md").read_text().split("\n## Public names\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


ROWS = table()


def names(cell: str) -> list[str]:
    """What stands in back quotes."""
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def headers() -> list[str]:
    """The content of each C++ header, without comments."""
    files = [*(ROOT / "include").rglob("*.hpp"), *(ROOT / "include").rglob("*.ipp")]
    return [re.sub(r"//.*", "", file.read_text()) for file in files]


def in_cpp(name: str) -> bool:
    """Whether `field` stands in the body of `struct.field`, or all words of another name in one header."""
    if "." in name:
        struct, field = name.split(".")
        bodies = [b for text in headers() for b in re.findall(rf"\bstruct {struct}\b[^;{{]*\{{(.*?)\n\}};", text, re.S)]
        return any(re.search(rf"\b{field}\b", body) for body in bodies)
    words = [re.compile(rf"\b{word}\b") for word in name.split("::")]
    return any(all(word.search(text) for word in words) for text in headers())


@functools.cache
def extra_keywords(function: str) -> set[str]:
    """What stands for **options of `function`, as its own message about an unknown one lists it."""
    model = small_model()
    data = pybit.datasets.open((np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) % 2), validation_fraction=0).train
    calls: dict[str, list[Any]] = {
        "fine_tune": [
            lambda: pybit.fine_tune(model, data, no_such=1),
            lambda: pybit.FineTuning(model, data, optimizer="adam", no_such=1),
        ],
        "Trainer": [lambda: pybit.Trainer(model, no_such=1), lambda: pybit.Trainer(model, "adam", no_such=1)],
    }
    found: set[str] = set()
    for call in calls[function]:
        with pytest.raises(pybit.ConfigError) as raised:
            call()
        listed = re.search(r"expected options among (.*?)(?:, got|;|$)", str(raised.value))
        assert listed is not None
        found |= {word.strip() for word in listed[1].split(",")}
    return found


def in_python(name: str) -> bool:
    """Whether `path.to.attribute` is there below pybit, and takes the keyword of `path.to.function(keyword=)`."""
    path, _, keyword = name.rstrip("=)").partition("(")
    value: Any = pybit
    for part in path.split("."):
        if not hasattr(value, part) and part not in getattr(value, "__dataclass_fields__", ()):
            return False
        value = getattr(value, part, None)
    if not keyword:
        return True
    if keyword in inspect.signature(value).parameters:
        return True
    if path == "Model.memory_plan":
        from pybit.report.memory import plan_training

        return keyword in inspect.signature(plan_training).parameters
    function = path.replace("FineTuning", "fine_tune")
    return function in ("fine_tune", "Trainer") and keyword in extra_keywords(function)


def in_shell(name: str) -> bool:
    """Whether a command has the flag of "command --flag"."""
    command, flag = name.split()
    actions = cli.make_parser(command)._subparsers
    assert actions is not None
    parser = next(a for a in actions._group_actions if isinstance(a, argparse._SubParsersAction)).choices[command]
    return flag in parser._option_string_actions


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_name_of_the_table_is_there(row: list[str]) -> None:
    assert len(row) == 4 and names(row[1]) and names(row[2])
    assert [name for name in names(row[1]) if not in_cpp(name)] == []
    assert [name for name in names(row[2]) if not in_python(name)] == []
    assert [name for name in names(row[3]) if not in_shell(name)] == []


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (in_cpp, "fine_tune_options.no_such_field"),
        (in_cpp, "run_options.num_classes"),
        (in_python, "create_model(no_such=)"),
        (in_python, "fine_tune(no_such=)"),
        (in_python, "Trainer(number_format=)"),
        (in_python, "Model.no_such"),
        (in_python, "Model.memory_plan(no_such=)"),
        (in_shell, "train --no-such"),
        (in_shell, "predict --optimizer"),
    ],
)
def test_a_name_that_is_not_there_is_found_out(found: Any, name: str) -> None:
    assert not found(name)


def test_every_option_of_a_run_is_in_the_table() -> None:
    cells = [name.replace("FineTuning(", "fine_tune(") for row in ROWS for name in names(row[2])]
    listed = {name[len("fine_tune(") : -2] for name in cells if name.startswith("fine_tune(")}
    told_to_the_rule, rare = {"image_size", "examples"}, {"decay_vectors", "examples_per_class_seed"}
    of_python_alone, for_the_command = {"preset"}, {"flags"}
    assert extra_keywords("fine_tune") - listed == told_to_the_rule | rare | of_python_alone | for_the_command
