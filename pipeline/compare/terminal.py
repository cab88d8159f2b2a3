"""The tables at the terminal: coloured where there is one, plain ASCII in a log, never cut off."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.compare.columns import Column
from pipeline.compare.outcomes import Answers, Outcome
from pipeline.compare.report import Cell, Group, Report, Row
from pipeline.compare.standing import Difference

PLAIN = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line of dashes under the head, nothing else."""

UNBOUNDED = 1000
"""Columns of a console that is not a terminal: wide enough that nothing wraps."""


def show(
    report: Report, answers: Answers, caption: Sequence[str], notes: Sequence[str],
    stream: TextIO | None = None,
) -> None:  # fmt: skip
    """Print what was asked beforehand, tables, caption, reasons and notes to `stream` (standard output)."""
    stream = stream or sys.stdout
    terminal = stream.isatty()
    console = Console(file=stream, width=None if terminal else UNBOUNDED, highlight=False)
    for outcome in answers.outcomes:
        console.print(f"\n[bold]Asked beforehand: {escape(_ascii(outcome.heading, terminal))}[/]")
        console.print(_answers(outcome, terminal))
    for line in answers.untrained:
        console.print(f"[dim]{escape(_ascii(f'- {line}', terminal))}[/]")
    for group in [*report.groups, *report.truth]:
        console.print(f"\n[bold]{escape(group.title)}[/]")
        console.print(_table(group, terminal))
    for line in caption:
        console.print(escape(_ascii(line, terminal)))
    for number, text in enumerate(report.footnotes, 1):
        console.print(escape(_ascii(f"[{number}] {text}", terminal)))
    for line in notes:
        console.print(f"[dim]{escape(_ascii(f'- {line}', terminal))}[/]")


def _answers(outcome: Outcome, terminal: bool) -> Table:
    table = _empty(terminal)
    for target in outcome.targets:
        table.add_column(f"  L0 {target:g}", justify="right", no_wrap=True)
    for title, cells in outcome.rows.items():
        table.add_row(title, *(_answer(cells.get(target), terminal) for target in outcome.targets))
    return table


def _answer(found: Difference | None, terminal: bool) -> Text:
    if found is None or not found.text:
        return Text("" if found is None else f"  {found.verdict}")
    style = {"better": "green", "worse": "red"}.get(found.verdict, "")
    return Text(_ascii(f"  {found.text} ± {found.half} {found.sign}", terminal), style=style)


def _empty(terminal: bool) -> Table:
    """A table whose first column has no head."""
    table = Table(box=box.SIMPLE_HEAD if terminal else PLAIN, pad_edge=False, padding=0, show_edge=False)
    table.add_column("", no_wrap=True)
    return table


def _table(group: Group, terminal: bool) -> Table:
    shown = [i for i, column in enumerate(group.columns) if column.narrow]
    table = _empty(terminal)
    for i in shown:
        table.add_column(_head(group.columns[i]), justify="right", no_wrap=True)
    for row in group.rows:
        label = _label(row) + _notes(row.notes)
        cells = [_cell(row.cells[i], group.columns[i], terminal) for i in shown]
        table.add_row(Text(label, style="italic" if row.reference else ""), *cells)
    return table


def _head(column: Column) -> str:
    """The title in short lines, the direction of better below."""
    words = escape(column.title).replace(", ", "\n").replace(" ", "\n", 1)
    return words if column.better == "neither" else f"{words}\n[dim]{column.better}[/]"


def _label(row: Row) -> str:
    return f"  {row.label[row.label.index('(') :]}" if row.control and "(" in row.label else row.label


def _cell(cell: Cell, column: Column, terminal: bool) -> Text:
    brief = column.name == "l0"  # its interval and seeds are in table.md; here every character counts
    text = cell.text
    if cell.half and not brief:
        text += ("±" if terminal else "+-") + cell.half.replace("0.", ".", 1)
    if cell.flag == "!":
        text += cell.flag
    elif cell.flag and not brief:
        text += f" ({cell.flag.removesuffix(' seeds')})"
    elif cell.text and not brief and not cell.notes:
        text += {"best": "*", "tied": "~", "": " "}[cell.mark]
    text += _notes(cell.notes)
    style = {"best": "bold green", "tied": "green", "": ""}[cell.mark]
    return Text(text, style="red" if cell.text in ("diverged", "missing") else style)


def _notes(numbers: Sequence[int]) -> str:
    return "".join(f" [{number}]" for number in numbers)


def _ascii(text: str, terminal: bool) -> str:
    if terminal:
        return text
    for character, plain in (("±", "+-"), ("▲", "^"), ("▼", "v"), ("\u00a0↑", ", higher is better"),
                             ("\u00a0↓", ", lower is better")):  # fmt: skip
        text = text.replace(character, plain)
    return text.encode("ascii", "replace").decode()
