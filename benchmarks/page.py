"""docs/benchmarks/README.md and growth.png: prose by hand above the mark, below it what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import book, times
from benchmarks.growth_plot import exponents, plot
from benchmarks.targets import Rows, table
from benchmarks.timing import ratio
from benchmarks.whole import CHANGE

MARK = "<!-- Written by `make bench`; what is below is replaced. -->"
TITLES = {
    "step": "Training step", "precision": "bfloat16 encoder: explained variance after a short training",
    "store": "Store", "harvest": "Harvest", "evaluate": "Evaluations of one SAE",
    "growth": "Growth", "run": "The default run",
}  # fmt: skip


def write(folder: Path) -> None:
    """Replace what follows the mark, draw the plot, print the targets; say elsewhere how long a run takes."""
    page = folder / "README.md"
    prose, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{page} has lost its mark"
    lines = [prose + mark, ""]
    for path in sorted(folder.glob("*.json")):
        rows = book.load(path)
        lines += [*_machine(rows), "", *_targets(rows), ""]
        for group, title in TITLES.items():
            found = {key: row for key, row in rows.items() if key.split("/")[0] == group}
            if found:
                lines += [f"### {title}", "", *_group(group, found), ""]
        if "growth/n" in rows:
            (folder / "growth.png").write_bytes(plot(rows))
        if "run" in rows:
            times.write(rows["run"])
        print("\n".join(_targets(rows)))
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _machine(rows: Rows) -> list[str]:
    machines = [row["machine"] for row in rows.values()]
    one, loads = machines[-1], [machine["load"] for machine in machines]
    packages = {name: version for machine in machines for name, version in machine["packages"].items()}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    gpu = one["gpu"] or "no GPU: CUDA rows are unmeasured"
    return [
        f"## {one['cpu']}, {one['cores']} cores, {one['memory_gib']} GiB, {gpu}",
        "",
        f"Python {one['python']}, torch {one['torch']}, {versions}; {one['threads']} thread(s). "
        f"Load average while the rows were taken: {min(loads)} to {max(loads)}.",
    ]


def _targets(rows: Rows) -> list[str]:
    lines = ["| target | ratio | wanted | | why not |", "|---|---:|---:|---|---|"]
    for what, value, bound, verdict, reason in table(rows):
        number = "" if value is None else f"{value:+.4f}" if bound.startswith("±") else f"{value:.2f}"
        lines.append(f"| {what} | {number} | {bound} | {verdict} | {reason} |")
    return lines


def _group(group: str, rows: Rows) -> list[str]:
    if group == "precision":
        return list(_precision(rows))
    if group == "growth":
        return [*_growth(rows), "", "![time and memory against size](growth.png)"]
    if group == "run":
        return list(_run(rows["run"]))
    return [line for key, row in rows.items() for line in _timed(key, row)]


def _timed(key: str, row: dict[str, Any]) -> Iterator[str]:
    """One row: every contestant, with the ratio to the first of ours."""
    times = row["times"]
    first = next(name for name in times if name.startswith("ours"))
    l0 = f"; L0 {row['l0']:.0f} reached" if "l0" in row else ""
    yield f"**{key}**, {row['shape']}{l0}; load {row['machine']['load']}."
    yield ""
    rate = "tokens" in row
    yield f"| | wall ms | CPU ms | {'tokens/s | ' if rate else ''}CPU, over {first} | wall |"
    yield f"|---|---:|---:|---:|---:|{'---:|' if rate else ''}"
    for name, each in times.items():
        speed = f"{row['tokens'] / each['seconds']:,.0f} | " if rate else ""
        by_cpu, by_wall = (ratio(each, times[first], clock) for clock in ("cpu", "wall"))
        wall, cpu = each["seconds"] * 1e3, each["cpu_seconds"] * 1e3
        yield f"| {name} | {wall:,.1f} | {cpu:,.1f} | {speed}{by_cpu:.2f} | {by_wall:.2f} |"
    if "once" in row:
        once = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in row["once"].items())
        yield ""
        yield f"Once per model, CPU: {once}."
    yield ""


def _precision(rows: Rows) -> Iterator[str]:
    steps = next(iter(rows.values()))["steps"]
    yield f"{steps} steps of 1024 tokens; explained variance at the last step, L0 on validation tokens."
    yield ""
    yield "| | float32 | bfloat16 | float32, another seed | difference |"
    yield "|---|---:|---:|---:|---:|"
    for key, row in rows.items():
        cells = [
            f"{row['found'][name]['explained_variance']:.4f} (L0 {row['found'][name]['l0']:.1f})"
            for name in ("float32", "bfloat16", "float32, another seed")
        ]
        yield f"| {key.split('/')[1]} | {' | '.join(cells)} | {row['difference']:+.4f} |"


def _growth(rows: Rows) -> Iterator[str]:
    yield "Fitted exponent: the slope of log against log over all points (1: doubles with the axis, 0: does"
    yield "not grow). Each point is a process of its own; memory is what the measured part's peak rose by."
    yield "Reading holds two pools (here 67 MB, once the store is larger than both) and 13 bytes of index per"
    yield "token (55 MB at 4.2 M tokens; .3 % of a row of gemma-2-2b in bfloat16): that part grows."
    yield ""
    yield "| axis | held | points | time | memory |"
    yield "|---|---|---|---:|---:|"
    for row in rows.values():
        time, memory = exponents(row)
        points = ", ".join(f"{p['x']:,}: {p['seconds']:.3g} s, {p['mb']:.0f} MB" for p in row["points"])
        yield f"| {row['axis']} | {row['fixed']} | {points} | {time:.2f} | {memory:.2f} |"


def _run(row: dict[str, Any]) -> Iterator[str]:
    yield (
        f"`python -m pipeline reproduce` of {row['profile']} in a fresh clone: {row['seconds']:,.0f} s, "
        f"{row['cpu_seconds']:,.0f} s of CPU, {row['memory_mb']:,.0f} MB of memory at most; `dvc repro` with "
        f"nothing to do {row['no_op_seconds']:.1f} s; `dvc exp run -S {CHANGE}` {row['exp_seconds']:.0f} s. "
        f"Load {row['machine']['load']}. Stages run side by side, so shares add up to more than 1."
    )
    yield ""
    yield "| stage | runs | seconds | share |"
    yield "|---|---:|---:|---:|"
    for name, stage in sorted(row["stages"].items(), key=lambda item: -item[1]["seconds"]):
        share = stage["seconds"] / row["seconds"]
        yield f"| {name} | {stage['runs']} | {stage['seconds']:,.0f} | {share:.0%} |"
