"""The tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.compare.columns import ARROW, Column
from pipeline.compare.escape import plain
from pipeline.compare.outcomes import Answers
from pipeline.compare.report import Cell, Group, Report, Row
from pipeline.compare.standing import Difference, Level, Value

BASELINE = "standard"
"""What every row is compared with first; the first row where there is none of this name."""


def markdown(
    title: str,
    report: Report,
    answers: Answers,
    levels: Sequence[Level],
    caption: Sequence[str],
    notes: Sequence[str],
) -> str:
    """A page: what was asked beforehand, a table per group, who differs, reasons, notes; names escaped."""
    blocks = [
        f"# {plain(title)}",
        " ".join(plain(line) for line in caption),
        "↑ higher is better, ↓ lower is better.",
    ]
    blocks += _answers(answers)
    for each in [*report.groups, *report.truth]:
        blocks += [f"## {plain(each.title)}", table(each)]
    for level in levels:
        source = "synthetic activations, " if level.source == "truth" else ""
        title = f"## Which rows differ (exploration): {source}L0 {level.target:g}"
        blocks += [title, *_differences(level)]
    if report.footnotes:
        reasons = [f"- [{n}] {plain(text)}" for n, text in enumerate(report.footnotes, 1)]
        blocks += ["## Reasons", "\n".join(reasons)]
    blocks += ["## Notes", "\n".join(f"- {plain(note)}" for note in notes)]
    return "\n\n".join(blocks) + "\n"


def _answers(found: Answers) -> Iterator[str]:
    """Per outcome a row for each comparison named in advance, a column for each L0 target."""
    if found.outcomes or found.untrained:
        yield "## Asked beforehand"
    for outcome in found.outcomes:
        heads = [f"L0 {target:g}" for target in outcome.targets]
        rows = [
            [title, *(_against(cells[target]) if target in cells else "" for target in outcome.targets)]
            for title, cells in outcome.rows.items()
        ]
        yield f"**{plain(outcome.heading)}**\n\n{_lines(heads, rows)}"
    if found.untrained:
        yield "\n".join(f"- {plain(line)}" for line in found.untrained)


def _differences(level: Level) -> Iterator[str]:
    """Values at the common L0, differences from the baseline, and a matrix of pairs per score."""
    baseline = BASELINE if BASELINE in level.labels else level.labels[0]
    heads = [each.column.head for each in level.scores]
    values = [
        [label, level.l0[label], *(_value(each.values[label]) for each in level.scores)]
        for label in level.labels
    ]
    against = [
        [label, *(_against(each.pairs[label][baseline]) for each in level.scores)]
        for label in level.labels
        if label != baseline
    ]
    against.append(["minimum detectable difference", *(each.detectable for each in level.scores)])
    yield f"**Values at L0 {level.target:g} with 95 % intervals**\n\n{_lines(['L0', *heads], values)}"
    yield f"**Difference from {plain(baseline)}**\n\n{_lines(heads, against)}"
    for each in level.scores:
        matrix = [[a, *(_signed(each.pairs[a].get(b)) for b in level.labels)] for a in level.labels]
        title = plain(f"{each.column.head}, row minus column")
        lines = _lines(level.labels, matrix)
        yield f"<details><summary>{title}</summary>\n\n{lines}\n\n</details>"


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| | " + " | ".join(map(plain, heads)) + " |", "|---|" + "--:|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(map(plain, row)) + " |" for row in rows)])


def _value(found: Value) -> str:
    interval = f" [{found.interval[0]}, {found.interval[1]}]" if found.interval else ""
    return f"{found.text}{interval}{' i' if found.interpolated else ''}"


def _against(found: Difference) -> str:
    if found.verdict == "not compared":
        return found.verdict
    return f"{found.text} ± {found.half} {found.sign}"


def _signed(found: Difference | None) -> str:
    return f"{found.text} {found.sign}" if found and found.text else ""


def table(group: Group) -> str:
    """One group as a table."""
    lines = [
        "| | " + " | ".join(_head(column) for column in group.columns) + " |",
        "|---|" + "--:|" * len(group.columns),
    ]
    lines += [_line(row) for row in group.rows]
    return "\n".join(lines)


def _head(column: Column) -> str:
    return plain(column.title) + ARROW[column.better]


def _line(row: Row) -> str:
    label = plain(row.label) + _notes(row.notes)
    if row.control:
        label = "&emsp;" + label
    if row.reference:
        label = f"*{label}*"
    return f"| {label} | " + " | ".join(_cell(cell) for cell in row.cells) + " |"


def number(cell: Cell) -> str:
    """The number of a cell and how sure it is."""
    return f"{cell.text} ± {cell.half}" if cell.half else cell.text


def _cell(cell: Cell) -> str:
    text = number(cell)
    if cell.mark == "best":
        text = f"**{text}** \\*"
    if cell.mark == "tied":
        text += " \\~"
    if cell.flag:
        text += f" {cell.flag}" if cell.flag == "!" else f" ({cell.flag})"
    return text + _notes(cell.notes)


def _notes(numbers: Sequence[int]) -> str:
    return "".join(f" [{number}]" for number in numbers)
