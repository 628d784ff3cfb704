# SPDX-License-Identifier: Apache-2.0
"""The result of a check as one page: thumbnails inside, no script, nothing that is fetched."""

from __future__ import annotations

import base64
import html
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.base.version import __version__
from pybit.data.images import read_image
from pybit.data.sources import printable
from pybit.errors import FormatError
from pybit.quality.findings import KINDS, Finding, Findings

_EDGE = 120  # pixels of a thumbnail's longer side
_MOST_FINDINGS, _MOST_PICTURES = 60, 8  # shown of a kind and of a finding: a page of some megabytes
_OPEN = 12  # findings that are not folded away

_STYLE = """
:root { --back: #fbfbfa; --card: #fff; --text: #1d1d1f; --quiet: #63636b; --line: #dedee2; --error: #b3261e;
  --warning: #8a5a00; --note: #4b5563; }
@media (prefers-color-scheme: dark) { :root { --back: #17181a; --card: #212327; --text: #e8e8ea; --quiet: #a2a2ab;
  --line: #3a3c42; --error: #ff8a80; --warning: #ffc266; --note: #b0bac8; } }
.bit-check { font: 15px/1.45 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 0 auto;
  max-width: 68rem; padding: 1rem; }
.bit-check h1 { font-size: 1.35rem; margin: .2rem 0; overflow-wrap: anywhere; }
.bit-check h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; border-bottom: 1px solid var(--line);
  padding-bottom: .3rem; }
.bit-check p { margin: .2rem 0; color: var(--quiet); overflow-wrap: anywhere; }
.bit-check .tag { font-size: .75rem; font-weight: 600; text-transform: uppercase; letter-spacing: .04em;
  margin-right: .5rem; }
.bit-check .error { color: var(--error); } .bit-check .warning { color: var(--warning); }
.bit-check .note { color: var(--note); }
.bit-check .cards { display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.bit-check .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem;
  min-width: 0; }
.bit-check .card p { color: var(--text); font-size: .9rem; }
.bit-check .pictures { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: .4rem; }
.bit-check figure { margin: 0; width: 120px; }
.bit-check figure img { display: block; max-width: 120px; border-radius: .25rem; background: var(--line); }
.bit-check figcaption { font-size: .7rem; color: var(--quiet); overflow-wrap: anywhere; }
.bit-check table { border-collapse: collapse; margin: .6rem 0; }
.bit-check td { padding: .1rem .9rem .1rem 0; font-size: .9rem; vertical-align: top; }
.bit-check td.number { text-align: right; font-variant-numeric: tabular-nums; }
.bit-check summary { cursor: pointer; color: var(--quiet); margin: .6rem 0; }
"""


def page(found: Findings, title: str | None = None) -> str:
    """A whole document."""
    name = html.escape(title or f"Check of {printable(found.source)}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{name}</title><style>html, body {{ margin: 0; }} @media (prefers-color-scheme: dark) "
        f"{{ body {{ background: #17181a; }} }}</style></head><body>{body(found, name)}</body></html>\n"
    )


def body(found: Findings, title: str | None = None) -> str:
    """The part that a notebook shows."""
    parts = [f'<style>{_STYLE}</style><div class="bit-check"><h1>{title or html.escape(printable(found.source))}</h1>']
    parts.append(f"<p>{html.escape(found.headline())}</p>")
    if found.classes:
        shown = list(found.classes.items())[:30]
        rows = "".join(f'<tr><td>{html.escape(n)}</td><td class="number">{c}</td></tr>' for n, c in shown)
        more = f"<p>and {len(found.classes) - len(shown)} more</p>" if len(found.classes) > len(shown) else ""
        folded = "" if len(shown) > 12 else " open"
        parts.append(f"<details{folded}><summary>images of each class</summary><table>{rows}</table>{more}</details>")
    for kind, count in found.counts.items():
        severity, heading = KINDS[kind]
        parts.append(f'<h2><span class="tag {severity}">{severity}</span>{heading} ({count})</h2>')
        if kind == "suspicious_label":
            parts.append(f"<p>Judged by {html.escape(found.features)}; the most doubtful come first.</p>")
        cards = [_card(found, f) for f in found.of(kind)[:_MOST_FINDINGS]]
        parts.append(f'<div class="cards">{"".join(cards[:_OPEN])}</div>')
        if len(cards) > _OPEN:
            parts.append(f"<details><summary>{len(cards) - _OPEN} more</summary>")
            parts.append(f'<div class="cards">{"".join(cards[_OPEN:])}</div></details>')
        if count > len(cards):
            parts.append(f"<p>{count - len(cards)} are not on this page; the CSV file and JSON have all.</p>")
    parts.append(f"<p>pybit {__version__}</p></div>")
    return "".join(parts)


def _card(found: Findings, f: Finding) -> str:
    figures = "".join(_figure(found, path, f.kind) for path in f.paths[:_MOST_PICTURES])
    if len(f.paths) > _MOST_PICTURES:
        figures += f"<p>and {len(f.paths) - _MOST_PICTURES} more</p>"
    score = "" if f.score is None else f" ({f.score:.2f})"
    return (
        f'<div class="card"><p>{html.escape(printable(f.text))}{score}</p><div class="pictures">{figures}</div></div>'
    )


def _figure(found: Findings, path: str, kind: str) -> str:
    split, label = found.places.get(path, ("", ""))
    where = " · ".join(part for part in (split if split != "whole" else "", label) if part)
    caption = html.escape(found.shown(path)) + (f"<br>{html.escape(where)}" if where else "")
    picture = "" if kind in ("damaged", "left_out") else _thumbnail(path)
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(path: str) -> str:
    try:
        pixels = np.ascontiguousarray(read_image(path))
    except (OSError, ValueError, FormatError):  # gone or changed since the check
        return ""
    height, width = pixels.shape[:2]
    scale = min(1.0, _EDGE / max(height, width))
    small = _core.resize_image(
        pixels, max(1, round(height * scale)), max(1, round(width * scale)), "bilinear", "pillow"
    )
    data = base64.b64encode(png(small)).decode("ascii")
    return f'<img alt="" loading="lazy" width="{small.shape[1]}" src="data:image/png;base64,{data}">'


def png(pixels: NDArray[np.uint8]) -> bytes:
    """RGB pixels (H, W, 3) as a PNG file (ISO/IEC 15948): rows without a filter, deflated."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
