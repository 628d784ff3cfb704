# SPDX-License-Identifier: Apache-2.0
"""Writes docs/benchmarks.md from the results of a run: the goals, the cases in which a peer is faster, every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cases import ALL, BF16, FP32, Case, title_of
from figures import best_peer, markdown, megabytes, milliseconds, ratio, times_of

Jobs = Mapping[str, Any]
USE = ("load", "first")
PARTS = {"import": "import", "load": "loading", "first": "first call"}  # of a start, as the page names them
TITLES = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "one-thread": "One thread",
    "avx2": "AVX2 pinned",
    "large": "R152x4",
    "training": "Training",
}
# The project's goals: the least time of the best peer divided by pybit's.
GOALS = (
    ("R50x1-fp32-224x224-b1-t2", 1.35),
    ("R50x1-fp32-224x224-b8-t2", 1.55),
    ("R50x1-bf16-224x224-b1-t2", 1.5),
    ("R50x1-bf16-224x224-b8-t2", 1.6),
    ("R50x1-fp32-480x480-b1-t2", 1.4),
    ("R101x3-fp32-224x224-b1-t2", 1.3),
    ("R152x2-fp32-224x224-b1-t2", 1.3),
    ("R152x4-fp32-480x480-b1-t2", 1.3),
    ("train-R50x1-fp32-128x128-b16-t2", 1.25),
)


def groups() -> dict[str, list[str]]:
    """Returns the names of the cases of each section of the page."""
    found: dict[str, list[str]] = {key: [] for key in TITLES}
    for case in ALL:
        found[_group(case)].append(case.name)
    return found


def _group(case: Case) -> str:
    if case.avx2:
        return "avx2"
    if case.training:
        return "training"
    if case.model == "R152x4":
        return "large"
    return "one-thread" if case.threads == 1 else {FP32: "fp32", BF16: "bf16"}[case.precision]


def ratios(job: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Returns the best peer's time divided by pybit's, (of minima, of medians), each None if it cannot be told.

    The best peer by medians may be another than by minima.
    """
    return ratio(times_of(job, "min")), ratio(times_of(job, "median"))


def share(job: Mapping[str, Any]) -> str:
    """Returns pybit's rate, in operations of direct convolutions, as a share of the peak of the same minutes."""
    times, peak = times_of(job, "min"), job["peak"]["gflops"]
    if "pybit" not in times or not peak:
        return "–"
    return f"{100 * job['gflop'] / times['pybit'] / peak:.0f} %"


def latency_table(jobs: Jobs, names: Sequence[str]) -> str:
    """Returns a row per case: time and error of every contender, the ratios to the best peer, the share of the peak."""
    measured = [jobs[name] for name in names if name in jobs]
    columns = list(dict.fromkeys(n for job in measured for n in job["contenders"]))
    rows = []
    for job in measured:
        own, (best, middle) = [], ratios(job)
        for name in columns:
            facts = job["contenders"].get(name, {})
            if "time" not in facts:
                own.append("failed" if "note" in facts else "–")
                continue
            time = facts["time"]
            mark = "" if time["clean"] else " !"
            error = f"; {facts['error']:.0e}".replace("e-0", "e-") if "error" in facts else ""
            own.append(f"{milliseconds(time['min'])} ({milliseconds(time['median'])}){error}{mark}")
        both = f"**{best:.2f}×** ({middle:.2f}×)" if best and middle else "–"
        rows.append([title_of(job), *own, both, share(job)])
    return markdown(["ms: least (median); error", *columns, "best peer ÷ pybit", "of FMA peak"], rows)


def training_memory_table(jobs: Jobs, names: Sequence[str]) -> str:
    """Returns a row per case: the peak memory of each contender's process in its first steps."""
    measured = [jobs[name] for name in names if name in jobs]
    columns = list(dict.fromkeys(n for job in measured for n in job["contenders"]))
    rows = []
    for job in measured:
        peaks = {n: c["peak"] for n, c in job["contenders"].items() if "peak" in c}
        own = [megabytes(peaks[n]) if n in peaks else "–" for n in columns]
        peer = best_peer(peaks)
        rows.append([title_of(job), *own, f"{peaks['pybit'] / peer[1]:.2f}×" if peer and "pybit" in peaks else "–"])
    return markdown(["MB: peak of the process", *columns, "pybit ÷ leanest peer"], rows)


def notes(jobs: Jobs, names: Sequence[str]) -> list[str]:
    """Returns a line per contender that failed or was disturbed, and per case whose contenders ran one by one."""
    lines = []
    for name in names:
        for who, facts in jobs.get(name, {}).get("contenders", {}).items():
            if "note" in facts:
                lines.append(f"- {name}, {who}: {facts['note']}")
            elif not facts.get("time", {"clean": True})["clean"]:
                lines.append(f"- {name}, {who} (!): other processes disturbed most rounds")
        if name in jobs and not jobs[name].get("interleaved", True):
            lines.append(f"- {name}: contenders do not fit into memory together, so each was started anew in its turn")
    return lines


def other_goals(jobs: Jobs) -> list[tuple[str, float, float | None, str]]:
    """Returns the goals that are no ratios of calls: (what, the least wanted, what was measured, the peer)."""
    rows: list[tuple[str, float, float | None, str]] = []
    for suffix, isa, wanted in (("", "AVX-512", 88), ("-avx2", "AVX2", 80)):
        for batch in (1, 8):
            job = jobs.get(f"R50x1-fp32-224x224-b{batch}-t2{suffix}")
            times = times_of(job, "min") if job else {}
            got = None
            if job and "pybit, direct" in times and job["peak"]["gflops"]:
                got = 100 * job["gflop"] / times["pybit, direct"] / job["peak"]["gflops"]
            rows.append((f"direct path, % of FMA peak, {isa}, batch {batch}", wanted, got, "–"))
    start = {n: c for n, c in jobs.get("startup", {}).get("contenders", {}).items() if "parts" in c}
    for peer, wanted, parts in (
        ("OpenVINO", 2, ("load", "first")),
        ("PyTorch, standardised once", 10, ("import", "load")),
    ):
        got = None
        if "pybit" in start and peer in start:
            got = sum(start[peer]["parts"][p] for p in parts) / sum(start["pybit"]["parts"][p] for p in USE)
        rows.append((f"{words(parts)} of a peer ÷ {words(USE)} of pybit", wanted, got, peer))
    memory = {n: c["peak"] for n, c in jobs.get("memory", {}).get("contenders", {}).items() if "peak" in c}
    over = {n: p - jobs["memory"]["content"] for n, p in memory.items() if ", bf16" not in n}
    rows.append(("memory beside weights and input: peer ÷ pybit", 2, ratio(over), (best_peer(over) or ("–",))[0]))
    return rows


def words(parts: Sequence[str]) -> str:
    """Returns the names of some parts of a start, for a table."""
    return " + ".join(PARTS[part] for part in parts)


def goals_table(jobs: Jobs) -> str:
    """Returns a row per goal: what was measured, by minima and by medians, and whether the goal is reached."""
    rows = []
    for name, wanted in GOALS:
        got, middle = ratios(jobs[name]) if name in jobs else (None, None)
        peer = best_peer(times_of(jobs[name], "min")) if name in jobs else None
        verdict = "not measured" if got is None else "reached" if got >= wanted else "**missed**"
        found = [f"{value:.2f}×" if value else "–" for value in (got, middle)]
        rows.append([name, f"{wanted}×", *found, peer[0] if peer else "–", verdict])
    for what, least, value, whom in other_goals(jobs):
        unit = " %" if "%" in what else "×"
        verdict = "not measured" if value is None else "reached" if value >= least else "**missed**"
        digits = 1 if "%" in what else 2
        rows.append([what, f"{least:g}{unit}", f"{value:.{digits}f}{unit}" if value else "–", "–", whom, verdict])
    return markdown(["case", "at least", "measured", "by medians", "best peer", ""], rows)


def losses(jobs: Jobs) -> str:
    """Returns one sentence that names the cases in which a peer is faster."""
    found = []
    for case in ALL:
        times = times_of(jobs[case.name], "min") if case.name in jobs else {}
        got, peer = ratio(times), best_peer(times)
        if got is not None and got < 1 and peer:
            found.append(f"{case.name} ({peer[0]} takes {got:.2f} of our time)")
    measured = sum(case.name in jobs and "pybit" in times_of(jobs[case.name], "min") for case in ALL)
    if not found:
        return f"In none of the {measured} cases measured with pybit is a peer faster."
    return f"**A peer is faster in {len(found)} of {measured} cases:** " + "; ".join(found) + "."


def curve_section(curve: Mapping[str, Any]) -> str:
    """Returns the paragraph and the chart on what benchmarks/training_curve.py found."""
    mean, excess = curve["mean_distance"], curve["excess"]
    own = max((name for name in mean if name.startswith("PyTorch")), key=lambda name: mean[name])
    wrong = [name for name in mean if name.startswith("pybit, ")]
    return (
        f"**The same run as PyTorch's.** {curve['steps']} steps on scikit-learn's digits, a small network, the same "
        f"weights and batches ([training_curve.py](../benchmarks/training_curve.py)): pybit's losses in float32 are "
        f"off PyTorch's in float64 by {mean['pybit float32']:.1e} in the mean, PyTorch's own in float32 by up to "
        f"{mean[own]:.1e}. At no step is pybit further off than {excess['pybit float32']:.1f} times what PyTorch has "
        f"been ({curve['factor']} are allowed); "
        + ", ".join(f"{name.removeprefix('pybit, ')}: {excess[name]:.0f} times" for name in wrong)
        + ".\n\n![Losses of a hundred steps](benchmarks/training_curve.png)"
    )


def start_section(job: Mapping[str, Any]) -> str:
    """Returns a row per contender: the time from the start of a process to the first logits, and its parts."""
    rows = []
    for name, facts in sorted(job["contenders"].items(), key=lambda item: item[1].get("time", {"min": 9e9})["min"]):
        if "note" in facts:
            rows.append([name, facts["note"], "", "", "", ""])
            continue
        parts, total = facts["parts"], facts["time"]["min"]
        rest = total - sum(parts.values())
        use = milliseconds(parts["load"] + parts["first"])
        rows.append([name, milliseconds(total), milliseconds(rest), milliseconds(parts["import"]), use])
        rows[-1].append(f"{milliseconds(parts['load'])} + {milliseconds(parts['first'])}")
    head = ["ms, least of the runs", "process to first logits", "interpreter, NumPy", "import", "load + first logits"]
    return markdown([*head, "of it"], rows)


def memory_section(job: Mapping[str, Any]) -> str:
    """Returns a row per contender: its peak memory, and how much of it is more than the weights and the input."""
    content = job["content"]
    rows = []
    for name, facts in sorted(job["contenders"].items(), key=lambda item: item[1].get("peak", 9e18)):
        if "note" in facts:
            rows.append([name, facts["note"], ""])
        else:
            over = facts["peak"] - content
            rows.append([name, megabytes(facts["peak"]), megabytes(over) if ", bf16" not in name else "–"])
    return markdown(["MB", "peak of the process", f"beside weights and input ({megabytes(content)})"], rows)


def size_section(job: Mapping[str, Any]) -> str:
    """Returns a row per contender: the bytes of its installation, and the largest packages in it."""
    rows = []
    for name, facts in sorted(job["contenders"].items(), key=lambda item: item[1].get("bytes", 9e18)):
        largest = ", ".join(f"{part} {megabytes(size)}" for part, size in list(facts.get("largest", {}).items())[:3])
        rows.append([name, megabytes(facts["bytes"]) if "bytes" in facts else facts["note"], largest])
    return markdown(["MB", "installed with all it needs", "largest parts"], rows)


def versions(jobs: Jobs) -> str:
    """Returns the versions of all libraries that computed, and the commits of pybit that were measured."""
    found: dict[str, set[str]] = {}
    for job in jobs.values():
        for facts in job["contenders"].values():
            for name, version in facts.get("versions", {}).items():
                found.setdefault(name, set()).add(version)
        found.setdefault("commit", set()).add(job["commit"])
    return "; ".join(f"{name} {', '.join(sorted(found[name]))}" for name in sorted(found))


def write(
    path: Path, results: Mapping[str, Any], charts: Mapping[str, str], curve: Mapping[str, Any] | None = None
) -> None:
    """Writes the page.

    `charts` has the file name of each section's chart, in a folder beside the page that has the page's name without
    its ending; `curve` is what training_curve.py wrote.
    """
    jobs, machine = results["jobs"], results["machine"]
    text = [(Path(__file__).parent / "page.md").read_text().rstrip()]
    flags = ", ".join(machine["flags"])
    text.append(
        f"**Machine**: {machine['name']}, {machine['cpus']} CPUs ({flags}), {machine['memory_gb']} GB, "
        f"{machine['kernel']}, Python {machine['python']}. **Versions**: {versions(jobs)}."
    )
    text.append("## Goals\n" + goals_table(jobs) + "\n\n" + losses(jobs))
    for key, names in groups().items():
        if any(name in jobs for name in names):
            text.append(f"## {TITLES[key]}\n" + latency_table(jobs, names))
            text += [training_memory_table(jobs, names)] if key == "training" else []
            text += ["\n".join(lines)] if (lines := notes(jobs, names)) else []
            text += [f"![{TITLES[key]}](benchmarks/{charts[key]})"] if key in charts else []
            text += [curve_section(curve)] if key == "training" and curve else []
    rest = {"startup": start_section, "memory": memory_section, "sizes": size_section}
    titles = {"startup": "Start", "memory": "Memory", "sizes": "Disk"}
    for key, section in rest.items():
        if key in jobs:
            text.append(f"## {titles[key]}\n" + section(jobs[key]))
    if "footprint" in charts:
        text.append(f"![start, memory, disk](benchmarks/{charts['footprint']})")
    path.write_text("\n\n".join(text) + "\n")
