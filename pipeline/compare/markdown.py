"""The tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.compare.differences import Chapter, Grid
from pipeline.compare.headline import ARROW, Headline
from pipeline.compare.table import Cell, Group, Report, Row


def markdown(
    title: str,
    report: Report,
    chapters: Sequence[Chapter],
    caption: Sequence[str],
    notes: Sequence[str],
) -> str:
    """A page: caption, one table per group, which rows differ, reasons, notes. Names are escaped."""
    blocks = [
        f"# {_plain(title)}",
        " ".join(_plain(line) for line in caption),
        "↑ higher is better, ↓ lower is better.",
    ]
    for group in [*report.groups, *report.truth]:
        blocks += [f"## {_plain(group.title)}", _table(group)]
    for chapter in chapters:
        blocks += [f"## {_plain(chapter.title)}", *(_grid(grid) for grid in chapter.grids)]
    if report.footnotes:
        reasons = [f"- [{n}] {_plain(text)}" for n, text in enumerate(report.footnotes, 1)]
        blocks += ["## Reasons", "\n".join(reasons)]
    blocks += ["## Notes", "\n".join(f"- {_plain(note)}" for note in notes)]
    return "\n\n".join(blocks) + "\n"


def _grid(grid: Grid) -> str:
    lines = [
        "| | " + " | ".join(_plain(column) for column in grid.columns) + " |",
        "|---|" + "--:|" * len(grid.columns),
    ]
    lines += [
        f"| {_plain(label)} | " + " | ".join(_plain(box.text) for box in boxes) + " |"
        for label, boxes in grid.rows
    ]
    table = "\n".join(lines)
    if grid.folded:
        return f"<details><summary>{_plain(grid.title)}</summary>\n\n{table}\n\n</details>"
    return f"**{_plain(grid.title)}**\n\n{table}"


def _table(group: Group) -> str:
    lines = [
        "| | " + " | ".join(_head(column) for column in group.columns) + " |",
        "|---|" + "--:|" * len(group.columns),
    ]
    lines += [_line(row) for row in group.rows]
    return "\n".join(lines)


def _head(column: Headline) -> str:
    return _plain(column.title) + ARROW[column.better]


def _line(row: Row) -> str:
    label = _plain(row.label) + _notes(row.notes)
    if row.control:
        label = "&emsp;" + label
    if row.reference:
        label = f"*{label}*"
    return f"| {label} | " + " | ".join(_cell(cell) for cell in row.cells) + " |"


def _cell(cell: Cell) -> str:
    text = f"{cell.text} ± {cell.spread}" if cell.spread else cell.text
    if cell.mark == "best":
        text = f"**{text}** \\*"
    if cell.mark == "tied":
        text += " \\~"
    if cell.flag:
        text += f" {cell.flag}" if cell.flag == "!" else f" ({cell.flag})"
    return text + _notes(cell.notes)


def _notes(numbers: Sequence[int]) -> str:
    return "".join(f" [{number}]" for number in numbers)


def _plain(text: str) -> str:
    """`text` with the characters escaped that Markdown or HTML would take for markup."""
    for character in "\\|*_`~[":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
