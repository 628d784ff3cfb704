# SPDX-License-Identifier: Apache-2.0
"""A run as one HTML page: recipe, curve, and on labelled images confusion and worst mistakes."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit.data.dataset import Dataset
from pybit.model.model import Model
from pybit.train.result import score_text
from pybit.train.run_files import Run

_THUMBNAIL = 160  # pixels of the longer side
_AT_ONCE = 32  # images


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for another class."""

    position: int
    """Its position in the data set."""
    name: str
    """Its path, or what messages call it."""
    truth: str
    """Its class."""
    taken_for: str
    """The likeliest class."""
    probability: float
    """The probability of its own class."""


@dataclass(frozen=True)
class Measured:
    """What a model takes labelled images for."""

    data: Dataset
    names: list[str]
    confusion: NDArray[np.int64]
    """The number of images of the row's class that were taken for the column's, (classes, classes)."""
    worst: list[Mistake]
    """The images whose own class has the smallest probability, the smallest first."""


def measure(model: Model, data: Dataset, worst: int = 24) -> Measured:
    """Predict all images of a set that has the model's classes, and keep the `worst` mistakes.

    Raises ConfigError for other classes, OSError or FormatError for images that cannot be read.
    """
    names = list(model.labels or data.class_names)
    data = data.with_classes(names)
    confusion = np.zeros((len(names), len(names)), np.int64)
    mistakes: list[Mistake] = []
    for first in range(0, len(data), _AT_ONCE):
        positions = range(first, min(first + _AT_ONCE, len(data)))
        found = model.predict([data[i][0] for i in positions], topk=len(names), progress=False)
        for position, row in zip(positions, found, strict=True):
            label = int(data.labels[position])
            confusion[label, row.classes[0]] += 1
            if row.classes[0] != label:
                own = row.probabilities[row.classes.index(label)]
                mistakes.append(Mistake(position, data.name(position), names[label], names[row.classes[0]], own))
    mistakes.sort(key=lambda mistake: (mistake.probability, mistake.position))
    return Measured(data, names, confusion, mistakes[:worst])


def page(run: Run, measured: Measured | None = None) -> str:
    """The page, with all pictures in it.

    Raises ImportError without Pillow if there are images to show.
    """
    title = f"{run.folder.name}: {run.flags.get('model', '')}"
    best = "" if run.best is None else f", best {score_text(run.best_by, run.best)} at step {run.best_step}"
    parts = [
        f"<h1>{_safe(title)}</h1>",
        f"<p>{run.step} of {run.planned} steps{_safe(best)}. {_safe(str(run.folder))}</p>",
        f"<h2>Recipe</h2><pre>{_safe(_recipe(run.folder / 'train.log'))}</pre>",
        _curve(run.folder / "curve.png"),
        _evaluations(run),
        "" if measured is None else _confusion(measured) + _worst(measured),
        "<h2>Options</h2>" + _table(["option", "value"], [[k, v] for k, v in sorted(run.flags.items())]),
    ]
    return _PAGE.replace("@TITLE@", _safe(title)).replace("@BODY@", "\n".join(parts))


def _recipe(log: Path) -> str:
    """The last recipe in a train.log."""
    if not log.is_file():
        return "there is no train.log"
    texts = [line.partition(" pybit.train: ")[2] for line in log.read_text(encoding="utf-8").splitlines()]
    starts = [i for i, text in enumerate(texts) if text.startswith("BiT-HyperRule for ")]
    if not starts:
        return "train.log holds no recipe"
    end = starts[-1] + 1
    while end < len(texts) and texts[end].startswith("  "):
        end += 1
    return "\n".join(texts[starts[-1] : end])


def _curve(picture: Path) -> str:
    if not picture.is_file():
        return "<p>There is no curve.png: it needs matplotlib (pip install matplotlib) while the run ends.</p>"
    data = base64.b64encode(picture.read_bytes()).decode()
    return f'<h2>Curve</h2><img class="curve" alt="loss, accuracy and rate" src="data:image/png;base64,{data}">'


def _evaluations(run: Run) -> str:
    if not run.evaluations:
        return "<p>Nothing was evaluated.</p>"
    names = [n for n in ("loss", "top1", "top5", "balanced_accuracy", "macro_f1", "auroc") if n in run.evaluations[0]]
    rows = [
        [str(e["step"]), *(f"{e[n]:.5f}" if n == "loss" else f"{100 * e[n]:.2f} %" for n in names)]
        for e in run.evaluations[-20:]
    ]
    return "<h2>Validation</h2>" + _table(["step", *names], rows)


def _confusion(measured: Measured) -> str:
    counts = measured.confusion
    right, total = int(counts.trace()), int(counts.sum())
    head = f"<h2>Confusion</h2><p>{right} of {total} images are right ({100 * right / max(total, 1):.2f} %). "
    if len(measured.names) > 40:
        return head + "There are too many classes for a table.</p>"
    rows: list[str] = []
    for name, row in zip(measured.names, counts, strict=True):
        cells = "".join(
            f'<td style="background:rgba({"30,120,60" if i == len(rows) else "190,60,40"},'
            f'{0.6 * n / max(row.sum(), 1):.2f})">{n or ""}</td>'
            for i, n in enumerate(row.tolist())
        )
        rows.append(f"<tr><th>{_safe(name)}</th>{cells}</tr>")
    top = "".join(f"<th>{_safe(name)}</th>" for name in measured.names)
    text = f"{head}Rows are the classes, columns what was predicted.</p>"
    return f"{text}<table><tr><th></th>{top}</tr>{''.join(rows)}</table>"


def _worst(measured: Measured) -> str:
    if not measured.worst:
        return "<p>There are no mistakes.</p>"
    figures = [
        f'<figure><img alt="" src="{_thumbnail(measured.data[m.position][0])}"><figcaption>{_safe(m.truth)} taken for '
        f"{_safe(m.taken_for)}, {100 * m.probability:.1f} % for its own class<br><small>{_safe(m.name)}</small>"
        "</figcaption></figure>"
        for m in measured.worst
    ]
    return f'<h2>Worst mistakes</h2><div class="images">{"".join(figures)}</div>'


def _thumbnail(pixels: NDArray[np.uint8]) -> str:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("a page with images needs Pillow: pip install pillow") from None
    image: Any = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{_safe(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _safe(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode())


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>@TITLE@</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
pre { background: #f5f5f3; padding: 1rem; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
img.curve { max-width: 100%; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption, small { overflow-wrap: anywhere; } small { color: #777; }
</style></head><body>
@BODY@
</body></html>
"""
