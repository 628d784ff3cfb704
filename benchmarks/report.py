"""docs/benchmarks.md from the results of a run: what was asked for, every table, and where we lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cases import ALL, BF16, FP32, Case, title_of
from figures import best_peer, markdown, megabytes, milliseconds, ratio

Jobs = Mapping[str, Any]
USE = ("load", "first")
TITLES = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "one-thread": "One thread",
    "avx2": "AVX2 pinned",
    "large": "R152x4",
    "training": "Training",
}
# The figures that the project set itself (minimum to minimum against the best peer).
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
    """Case names by section of the page."""
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


def minima(job: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of each contender that finished."""
    return {name: facts["time"]["min"] for name, facts in job["contenders"].items() if "time" in facts}


def share(job: Mapping[str, Any]) -> str:
    """Our direct-equivalent rate against the peak of the same minutes."""
    times, peak = minima(job), job["peak"]["gflops"]
    if "pybit" not in times or not peak:
        return "–"
    return f"{100 * job['gflop'] / times['pybit'] / peak:.0f} %"


def latency_table(jobs: Jobs, names: Sequence[str]) -> str:
    """Minimum and median of every contender, the ratio to the best peer, the share of the peak."""
    measured = [jobs[name] for name in names if name in jobs]
    columns = list(dict.fromkeys(n for job in measured for n in job["contenders"]))
    rows = []
    for job in measured:
        best, own = ratio(minima(job)), []
        for name in columns:
            facts = job["contenders"].get(name, {})
            if "time" not in facts:
                own.append("failed" if "note" in facts else "–")
                continue
            time = facts["time"]
            mark = "" if time["clean"] else " !"
            own.append(f"{milliseconds(time['min'])} ({milliseconds(time['median'])}){mark}")
        rows.append([title_of(job), *own, f"**{best:.2f}×**" if best else "–", share(job)])
    return markdown(["ms: least (median)", *columns, "best peer ÷ pybit", "of FMA peak"], rows)


def training_memory_table(jobs: Jobs, names: Sequence[str]) -> str:
    """Peak of each contender's process in its first steps."""
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
    """What did not finish, with its own words, and what was disturbed."""
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
    """Goals that are no ratios of calls: what, the least wanted, what was got, against whom."""
    rows: list[tuple[str, float, float | None, str]] = []
    for suffix, isa, wanted in (("", "AVX-512", 88), ("-avx2", "AVX2", 80)):
        for batch in (1, 8):
            job = jobs.get(f"R50x1-fp32-224x224-b{batch}-t2{suffix}")
            times = minima(job) if job else {}
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
        rows.append((f"a peer's {' + '.join(parts)} ÷ our {' + '.join(USE)}", wanted, got, peer))
    memory = {n: c["peak"] for n, c in jobs.get("memory", {}).get("contenders", {}).items() if "peak" in c}
    over = {n: p - jobs["memory"]["content"] for n, p in memory.items() if ", bf16" not in n}
    rows.append(("memory over weights and input", 2, ratio(over), (best_peer(over) or ("–",))[0]))
    return rows


def goals_table(jobs: Jobs) -> str:
    """The goals against what was measured."""
    rows = []
    for name, wanted in GOALS:
        got = ratio(minima(jobs[name])) if name in jobs else None
        peer = best_peer(minima(jobs[name])) if name in jobs else None
        verdict = "not measured" if got is None else "reached" if got >= wanted else "**missed**"
        rows.append([name, f"{wanted}×", f"{got:.2f}×" if got else "–", peer[0] if peer else "–", verdict])
    for what, least, found, whom in other_goals(jobs):
        unit = " %" if "%" in what else "×"
        verdict = "not measured" if found is None else "reached" if found >= least else "**missed**"
        digits = 1 if "%" in what else 2
        rows.append([what, f"{least:g}{unit}", f"{found:.{digits}f}{unit}" if found else "–", whom, verdict])
    return markdown(["case", "at least", "measured", "best peer", ""], rows)


def losses(jobs: Jobs) -> str:
    """One sentence on where a peer is faster."""
    found = []
    for case in ALL:
        times = minima(jobs[case.name]) if case.name in jobs else {}
        got, peer = ratio(times), best_peer(times)
        if got is not None and got < 1 and peer:
            found.append(f"{case.name} ({peer[0]} takes {got:.2f} of our time)")
    measured = sum(case.name in jobs and "pybit" in minima(jobs[case.name]) for case in ALL)
    if not found:
        return f"Of {measured} cases measured with pybit there is none in which a peer is faster."
    return f"**We lose {len(found)} of {measured} cases:** " + "; ".join(found) + "."


def curve_section(curve: Mapping[str, Any]) -> str:
    """What benchmarks/training_curve.py found."""
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
    """Where the time to the first logits goes."""
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
    """Peaks, and what is over the bytes that have to be there."""
    content = job["content"]
    rows = []
    for name, facts in sorted(job["contenders"].items(), key=lambda item: item[1].get("peak", 9e18)):
        if "note" in facts:
            rows.append([name, facts["note"], ""])
        else:
            over = facts["peak"] - content
            rows.append([name, megabytes(facts["peak"]), megabytes(over) if ", bf16" not in name else "–"])
    return markdown(["MB", "peak of the process", f"over weights and input ({megabytes(content)})"], rows)


def size_section(job: Mapping[str, Any]) -> str:
    """Bytes on disk, with the largest parts."""
    rows = []
    for name, facts in sorted(job["contenders"].items(), key=lambda item: item[1].get("bytes", 9e18)):
        largest = ", ".join(f"{part} {megabytes(size)}" for part, size in list(facts.get("largest", {}).items())[:3])
        rows.append([name, megabytes(facts["bytes"]) if "bytes" in facts else facts["note"], largest])
    return markdown(["MB", "installed with all it needs", "largest parts"], rows)


def versions(jobs: Jobs) -> str:
    """All versions that computed, and the commits that were measured."""
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
    """The page. `charts`: file names by section, in a folder of the page's own name beside it; `curve`: what
    training_curve.py wrote."""
    jobs, machine = results["jobs"], results["machine"]
    text = [(Path(__file__).parent / "page.md").read_text().rstrip()]
    flags = ", ".join(machine["flags"])
    text.append(
        f"**Machine**: {machine['name']}, {machine['cpus']} CPUs ({flags}), {machine['memory_gb']} GB, "
        f"{machine['kernel']}, Python {machine['python']}. **Versions**: {versions(jobs)}."
    )
    text.append("## What was asked for\n" + goals_table(jobs) + "\n\n" + losses(jobs))
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
