"""What the marks `table` and `value` stand for: the comparison as printed, or a table that lies in git."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.compare import markdown
from pipeline.compare.columns import L0, Column
from pipeline.compare.escape import plain
from pipeline.compare.report import Cell, Group, Row
from pipeline.console.errors import BadInput
from pipeline.handbook.marks import Mark

SOURCES = {"text": "groups", "truth": "truth"}
"""Kinds of tables of the comparison: on the language model's activations, and on synthetic ones."""

KINDS = (*SOURCES, "planned", "ranking", "caption", "file PATH")

Document = Mapping[str, Any]
NOTHING: Document = {"outcomes": [], "untrained": []}
"""What was asked beforehand of a run that was asked nothing."""
UNRANKED: Document = {"targets": [], "rows": []}
"""How measures of absorption rank SAEs, in a run without synthetic activations."""


def said(mark: Mark, report: Document, root: Path) -> str | None:
    """The content of a mark, given the content of reports/report.json; None for marks of other commands.

    `table: text`, `table: truth`: the tables at each L0 target, of the scores of `stage` and the methods in
    `rows` only where these options are given, without controls (`controls: no`), of the few scores of narrow
    tables (`columns: narrow`); `table: planned`: the comparisons named in advance; `table: ranking`: how
    measures of absorption rank SAEs; `table: caption`: how to read them; `table: file PATH`: a
    tab-separated table below `root`. `value: LABEL, RUN,
    HEADLINE`: one number. Raises BadInput for what is not there.
    """
    if mark.name == "value":
        return value(mark, report)
    if mark.name != "table":
        return None
    if mark.asked == "caption":
        return f"\n{' '.join(map(plain, report['caption']))}\n"
    if mark.asked == "planned":
        return f"\n{_planned(report.get('planned', NOTHING))}\n"
    if mark.asked == "ranking":
        return f"\n{_ranking(report.get('ranking', UNRANKED))}\n"
    if mark.asked in SOURCES:
        return f"\n{_comparison(mark, report)}\n"
    kind, _, path = mark.asked.partition(" ")
    if kind == "file":
        return f"\n{_file(root / path.strip())}\n"
    raise BadInput(f"A mark asks for the table {mark.asked!r}: there are {', '.join(KINDS)}.")


def value(mark: Mark, report: Document) -> str:
    """One number of the comparison with half of its interval, as its cell has it."""
    label, run, name = (part.strip() for part in f"{mark.asked},,".split(",")[:3])
    source, goal = ("truth", run.removeprefix("truth-")) if run.startswith("truth-") else ("text", run)
    for group in groups(report, source):
        for row in group.rows:
            if (row.label, f"l0-{group.target or 0:g}") == (label, goal):
                cells = zip(group.columns, row.cells, strict=True)
                found = [markdown.number(cell) for column, cell in cells if column.name == name]
                if found:
                    return found[0]
    raise BadInput(f"A mark asks for {mark.asked!r}, which reports/report.json does not have.")


def groups(report: Document, source: str) -> list[Group]:
    """The tables of a source of activations."""
    return [
        Group(group["title"], group["target"], [Column(**each) for each in group["columns"]],
              [_row(each) for each in group["rows"]])
        for group in report[SOURCES[source]]
    ]  # fmt: skip


def _row(row: Document) -> Row:
    """Without the numbers of footnotes, which are not printed here."""
    cells = [Cell(**{**cell, "notes": ()}) for cell in row["cells"]]
    return Row(row["label"], cells, row["control"], row["reference"])


def _comparison(mark: Mark, report: Document) -> str:
    shown = [_narrowed(group, mark) for group in groups(report, mark.asked) if group.target is not None]
    return "\n\n".join(f"**{plain(group.title)}**\n\n{markdown.table(group)}" for group in shown)


def _narrowed(group: Group, mark: Mark) -> Group:
    """`group` with the scores and rows that `mark` asks for."""
    stages, rows = mark.names("stage"), mark.names("rows")
    narrow, controls = mark.options.get("columns") == "narrow", mark.options.get("controls") != "no"
    known = {column.stage for column in group.columns}, {row.label for row in group.rows}
    for asked, there in zip((stages, rows), known, strict=True):
        if unknown := set(asked) - there:
            raise BadInput(
                f"A mark asks for {', '.join(sorted(unknown))}; there are {', '.join(sorted(there))}."
            )
    places = [
        place for place, column in enumerate(group.columns)
        if column.name == L0 or ((not stages or column.stage in stages) and (column.narrow or not narrow))
    ]  # fmt: skip
    kept = [
        replace(row, cells=[row.cells[place] for place in places])
        for row in group.rows
        if (not rows or row.reference or row.label.split(" (")[0] in rows) and (controls or not row.control)
    ]
    filled = [row for row in kept if not row.reference or any(cell.text for cell in row.cells)]
    return replace(group, columns=[group.columns[place] for place in places], rows=filled)


def _planned(found: Document) -> str:
    """A table per outcome: a row for each comparison, a column for each L0 target; what was not trained."""
    blocks = []
    for outcome in found["outcomes"]:
        where = "synthetic activations, " if outcome["source"] == "truth" else ""
        heads = ["", *(f"L0 {target:g}" for target in outcome["targets"])]
        rows = [[row["title"], *map(_difference, row["cells"])] for row in outcome["rows"]]
        blocks += [
            f"**{plain(outcome['title'])}** ({where}{outcome['tests']} judged together)",
            "\n".join([_line(heads), "|---|" + "--:|" * len(outcome["targets"]), *map(_line, rows)]),
        ]
    blocks += ["\n".join(f"- {plain(line)}" for line in found["untrained"])] if found["untrained"] else []
    return "\n\n".join(blocks) or "This run was asked nothing beforehand."


def _ranking(found: Document) -> str:
    """A row per measure, the leading one first; a column per L0 target."""
    if not found["rows"]:
        return "This run has no SAE on synthetic activations."
    heads = ["", *("all SAEs" if target == "all" else f"L0 {target}" for target in found["targets"])]
    return "\n".join([_line(heads), "|---|" + "--:|" * len(found["targets"]), *map(_line, found["rows"])])


def _difference(cell: Document | None) -> str:
    """A difference with half of its interval and the verdict on it."""
    if cell is None or not cell["text"]:
        return cell["verdict"] if cell else ""
    return f"{cell['text']} ± {cell['half']} {cell['verdict']}"


def _file(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise BadInput(f"{path} cannot be read: run the command that writes it.") from None
    head, *rows = [line.split("\t") for line in lines]
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(plain, cells))} |"
