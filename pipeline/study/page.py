"""docs/study-results.md: per question a table of effects, written from the study's tables alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.compare.paired.verdict import SIGNS
from pipeline.study.findings import Finding, findings
from pipeline.study.section import Study

PAGE = Path("docs/study-results.md")
HEAD = ("row", "against", "outcome", "effect", "95 % interval", "n", "at L0", "verdict")
ARROW = {"higher": " ↑", "lower": " ↓"}


def write_page(
    study: Study, tables: Mapping[str, pd.DataFrame], margins: Mapping[str, float], left_out: Sequence[str]
) -> Path:
    """Write the page; `left_out` names the blocks that were not run."""
    lines = [
        "# What the study found",
        "",
        "Written by `python -m pipeline study` from the tables in study/; docs/study.md says how to read it.",
    ]
    done = set(pd.concat([tables["text"].block, tables["truth"].block]))
    for name, block in study.blocks.items():
        lines += ["", f"## {name}: {block.question}", ""]
        if name not in done:
            why = "left out: it did not fit into the budget" if name in left_out else "not run yet"
            lines.append(f"No result: {why}.")
            continue
        lines += _table(findings(name, block, tables, margins))
        lines += ["", f"What would overturn it: {block.overturned_by}"]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return PAGE


def _table(found: Sequence[Finding]) -> list[str]:
    rows = [HEAD, ("---",) * len(HEAD), *(_cells(each) for each in found)]
    return [f"| {' | '.join(cells)} |" for cells in rows]


def _cells(each: Finding) -> tuple[str, ...]:
    name = f"{each.title}{ARROW.get(each.better, '')}"
    if each.estimate is None:
        return each.row, each.against, name, "", "", "", "", f"not compared: {each.reason}"
    found, places = each.estimate, each.decimals
    at = zip(each.targets, each.by_target, strict=True)
    parts = ", ".join(f"{value:+.{places}f} ({target})" for target, value in at)
    verdict = f"{SIGNS[each.verdict]} {each.verdict}, p {each.p_holm:.2g}".strip()
    effect, low, high = (f"{value:+.{places}f}" for value in (found.value, found.low, found.high))
    n = f"{each.models} x {each.seeds}"
    return each.row, each.against, name, effect, f"{low} to {high}", n, parts, verdict
