"""The comparison as rows and cells of text, before any markup.

One group per L0 target, so that numbers at different L0 never stand side by side. Markdown, HTML and
the terminal print the same `Report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.compare.board import Board, Entry
from pipeline.compare.headline import L0, REFERENCES, SCORES, TRUE_L0, TRUTH, TRUTH_L0, Headline, Key
from pipeline.compare.marks import Beats, Mark, marks
from pipeline.compare.paired.comparison import Family
from pipeline.compare.summary import Summary, by_run, missed_target, over_seeds

ELSEWHERE = (
    "Trained elsewhere: no L0 target of ours, so compare each row only with rows of about the same L0, above"
)

Families = Mapping[tuple[Key, float], Family]


@dataclass(frozen=True)
class Cell:
    """One number: mean, half range over seeds, mark, and what is wrong with it."""

    text: str
    spread: str = ""
    mark: Mark = ""
    flag: str = ""  # "!" for a missed L0 target, "1/2 seeds" when seeds are missing
    notes: tuple[int, ...] = ()  # numbers of the footnotes


@dataclass(frozen=True)
class Row:
    """One variant or control at one target."""

    label: str
    cells: list[Cell]
    control: bool = False  # stands under its variant
    reference: bool = False  # no SAE at all
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Group:
    """The rows that may be compared with one another."""

    title: str
    target: float | None
    columns: list[Headline]
    rows: list[Row]


@dataclass
class Footnotes:
    """Reasons, numbered in order of appearance, each once."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        """The number of `text`, a new one if it was not said before."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


@dataclass(frozen=True)
class Report:
    """Everything the page says in tables."""

    groups: list[Group]
    truth: list[Group]
    footnotes: list[str]


def report(board: Board, families: Sequence[Family]) -> Report:
    """The tables of `board`: a group per L0 target in rising order, paper presets, then external SAEs."""
    footnotes = Footnotes()
    by_place = {(family.column.key, family.target): family for family in families}
    ours = [entry for entry in board.entries if not entry.external]
    elsewhere = [entry for entry in board.entries if entry.external]
    groups = [
        _group(_title(target), target, [L0, *SCORES], _at(ours, target), by_place, footnotes)
        for target in _targets(ours)
    ]
    if elsewhere:
        groups.append(_group(ELSEWHERE, None, [L0, *SCORES], elsewhere, by_place, footnotes))
    truth = [
        _group(
            _truth_title(board.truth, target),
            target,
            [TRUTH_L0, *TRUTH],
            _at(board.truth, target),
            by_place,
            footnotes,
        )
        for target in _targets(board.truth)
    ]
    return Report(groups, truth, footnotes.texts)


def _targets(entries: Sequence[Entry]) -> list[float | None]:
    found = {entry.target for entry in entries}
    return [*sorted(target for target in found if target is not None), *([None] if None in found else [])]


def _at(entries: Sequence[Entry], target: float | None) -> list[Entry]:
    return [entry for entry in entries if entry.target == target]


def _title(target: float | None) -> str:
    if target is None:
        return (
            "Paper presets: no L0 target, so these rows are not comparable with each other or with any other"
        )
    return f"L0 target {target:g}"


def _truth_title(entries: Sequence[Entry], target: float | None) -> str:
    true = over_seeds(_at(entries, target), TRUE_L0).mean
    source = "" if true is None else f" (true L0 {true:.3g})"
    return f"Synthetic activations with a known dictionary{source}, {_title(target)}"


def _group(
    title: str,
    target: float | None,
    columns: list[Headline],
    entries: list[Entry],
    families: Families,
    footnotes: Footnotes,
) -> Group:
    runs = by_run(entries)
    missed = [missed_target(run, columns[0]) for run in runs]
    summaries = [[over_seeds(run, column.key) for column in columns] for run in runs]
    fair = [target is not None and not miss for miss in missed]
    labels = [run[0].label for run in runs]
    marked = [
        marks([row[i] for row in summaries], fair, column.better, _beats(column, target, labels, families))
        for i, column in enumerate(columns)
    ]
    rows = [
        _row(run, columns, summaries[r], [marked[i][r] for i in range(len(columns))], missed[r], footnotes)
        for r, run in enumerate(runs)
    ]
    return Group(title, target, columns, rows + _references(entries, columns))


def _beats(column: Headline, target: float | None, labels: list[str], families: Families) -> Beats:
    family = None if target is None else families.get((column.key, target))

    def beats(first: int, second: int) -> bool | None:
        pair = family.pair(labels[first], labels[second]) if family else None
        return None if pair is None or pair.verdict == "not compared" else pair.verdict == "better"

    return beats


def _row(
    run: list[Entry],
    columns: list[Headline],
    summaries: list[Summary],
    marked: list[Mark],
    missed: bool,
    footnotes: Footnotes,
) -> Row:
    diverged = [entry for entry in run if entry.diverged]
    notes = tuple(footnotes.number(_divergence(entry)) for entry in diverged)
    if len(diverged) == len(run):
        cells = [Cell("diverged") for _ in columns]
    else:
        cells = [
            _cell(column, summary, mark, {entry.diverged for entry in diverged}, footnotes)
            for column, summary, mark in zip(columns, summaries, marked, strict=True)
        ]
        if missed:
            cells[0] = Cell(cells[0].text, cells[0].spread, "", "!", cells[0].notes)
    first = run[0]
    return Row(first.label, cells, control=first.label != first.variant, notes=notes)


def _divergence(entry: Entry) -> str:
    return f"{entry.label}, run {entry.run}, seed {entry.seed} diverged: {entry.diverged}"


def _cell(
    column: Headline, summary: Summary, mark: Mark, said: set[str | None], footnotes: Footnotes
) -> Cell:
    """`said`: reasons that the row's own footnote already gives."""
    notes = tuple(footnotes.number(reason) for reason in summary.reasons if reason not in said)
    if summary.mean is None:
        return Cell("missing", notes=notes)
    spread = "" if summary.spread is None else column.text(summary.spread)
    flag = "" if summary.seeds == summary.of else f"{summary.seeds}/{summary.of} seeds"
    return Cell(column.text(summary.mean), spread, mark, flag, notes)


def _references(entries: list[Entry], columns: list[Headline]) -> list[Row]:
    """The reference rows with a number here; a number that differs between SAEs is none."""
    rows = []
    for reference in REFERENCES:
        cells = [
            Cell(_reference(entries, reference.cells[column.name], column, reference.range))
            if column.name in reference.cells
            else Cell("")
            for column in columns
        ]
        if any(cell.text for cell in cells):
            rows.append(Row(reference.label, cells, reference=True))
    return rows


def _reference(entries: list[Entry], key: Key, column: Headline, spread: bool) -> str:
    found = sorted({value for entry in entries if (value := entry.get(key).value) is not None})
    if spread and found:
        short = replace(column, decimals=column.decimals - 1)  # two numbers in the width of one
        return f"{short.text(found[0])}..{short.text(found[-1])}"
    return column.text(found[0]) if len(found) == 1 else ""
