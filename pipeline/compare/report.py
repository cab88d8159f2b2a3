"""The comparison at the L0 that was reached, as rows and cells of text, before any markup.

One group per L0 target, so that numbers at different L0 never stand side by side. Markdown, the page and
the terminal print the same `Report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.compare.columns import Column, Key, Reference
from pipeline.compare.leaders import Mark, leaders, marks
from pipeline.compare.paired.comparison import Family
from pipeline.compare.paired.reached import Place, Reached
from pipeline.compare.scores import Run, Scores, Source
from pipeline.compare.seeds import Summary

ELSEWHERE = (
    "Trained elsewhere: no L0 target of ours, so compare each row only with rows of about the same L0, above"
)
TRUE_L0 = "l0_true"
"""The metric of an evaluation on synthetic activations that says how many features are on per token."""

Families = Mapping[tuple[Key, float | None], Family]
Intervals = Mapping[Place, Reached]


@dataclass(frozen=True)
class Cell:
    """One number: mean, half of its 95 % interval, mark, and what is wrong with it."""

    text: str
    half: str = ""
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
    columns: list[Column]
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


def report(scores: Scores, families: Sequence[Family], intervals: Intervals) -> Report:
    """The tables of `scores`: a group per L0 target in rising order, paper presets, then external SAEs."""
    footnotes = Footnotes()
    by_place: Families = {(family.column.key, family.target): family for family in families}

    def group(source: Source, title: str, target: float | None, runs: list[Run]) -> Group:
        rows = _rows(source, runs, target, by_place, intervals, footnotes)
        return Group(title, target, list(source.columns), rows + _references(source, runs, scores.references))

    ours = [run for run in scores.text.runs if not run.external]
    elsewhere = [run for run in scores.text.runs if run.external]
    groups = [group(scores.text, _title(target), target, runs) for target, runs in _by_target(ours)]
    if elsewhere:
        groups.append(group(scores.text, ELSEWHERE, None, elsewhere))
    truth = [
        group(scores.truth, _truth_title(scores.truth, target, runs), target, runs)
        for target, runs in _by_target(scores.truth.runs)
    ]
    return Report(groups, truth, footnotes.texts)


def _by_target(runs: Sequence[Run]) -> list[tuple[float | None, list[Run]]]:
    targets = sorted({run.target for run in runs}, key=lambda target: (target is None, target or 0))
    return [(target, [run for run in runs if run.target == target]) for target in targets]


def _title(target: float | None) -> str:
    if target is None:
        return (
            "Paper presets: no L0 target, so these rows are not comparable with each other or with any other"
        )
    return f"L0 target {target:g}"


def _truth_title(source: Source, target: float | None, runs: list[Run]) -> str:
    true = source.values((source.l0.stage, TRUE_L0))
    known = true[true.run.isin([run.name for run in runs])].value.mean()
    given = f" (true L0 {known:.3g})" if known == known else ""
    return f"Synthetic activations with a known dictionary{given}, {_title(target)}"


def _rows(
    source: Source, runs: list[Run], target: float | None, families: Families, intervals: Intervals,
    footnotes: Footnotes,
) -> list[Row]:  # fmt: skip
    summaries = {run.label: [source.summary(run, column.key) for column in source.columns] for run in runs}
    fair = [run.label for run in runs if target is not None and not run.missed]
    marked = []
    for place, column in enumerate(source.columns):
        family = families.get((column.key, target))
        means = {label: summaries[label][place].complete_mean for label in fair}
        known = {label: mean for label, mean in means.items() if mean is not None}
        marked.append(marks(leaders(known, column.better, family.beats)) if family else {})
    rows = []
    for run in runs:
        found = [intervals[source.name, run.label, run.name, column.key] for column in source.columns]
        mine = [mark.get(run.label, "") for mark in marked]
        rows.append(_row(run, source.columns, summaries[run.label], found, mine, footnotes))
    return rows


def _row(
    run: Run, columns: Sequence[Column], summaries: list[Summary], intervals: list[Reached],
    marked: list[Mark], footnotes: Footnotes,
) -> Row:  # fmt: skip
    notes = tuple(
        footnotes.number(f"{run.label}, run {run.name}, seed {seed} diverged: {reason}")
        for seed, reason in run.diverged.items()
    )
    if len(run.diverged) == run.seeds:
        cells = [Cell("diverged") for _ in columns]
    else:
        said = set(run.diverged.values())  # the row's own footnotes
        cells = [
            _cell(column, summary, interval, mark, said, footnotes)
            for column, summary, interval, mark in zip(columns, summaries, intervals, marked, strict=True)
        ]
        if run.missed:
            cells[0] = replace(cells[0], mark="", flag="!")
    return Row(run.label, cells, control=run.control, notes=notes)


def _cell(
    column: Column, summary: Summary, interval: Reached, mark: Mark, said: set[str], footnotes: Footnotes
) -> Cell:
    notes = tuple(footnotes.number(reason) for reason in summary.reasons if reason not in said)
    if summary.mean is None:
        return Cell("missing", notes=notes)
    half = "" if interval.estimate is None else column.text(interval.estimate.half)
    flag = "" if summary.seeds == summary.of else f"{summary.seeds}/{summary.of} seeds"
    return Cell(column.text(summary.mean), half, mark, flag, notes)


def _references(source: Source, runs: list[Run], references: Sequence[Reference]) -> list[Row]:
    """The reference rows with a number here; a number that differs between SAEs is none."""
    names = {(run.label, run.name) for run in runs}
    rows = []
    for reference in references:
        cells = [
            Cell(_reference(source, names, reference.cells[column.name], column, reference.spread))
            if column.name in reference.cells
            else Cell("")
            for column in source.columns
        ]
        if any(cell.text for cell in cells):
            rows.append(Row(reference.label, cells, reference=True))
    return rows


def _reference(source: Source, runs: set[tuple[str, str]], key: Key, column: Column, spread: bool) -> str:
    here = source.values(key)
    here = here[[run in runs for run in zip(here.label, here.run, strict=True)]]
    found = sorted(here.value.dropna().unique())
    if spread and found:
        short = replace(column, decimals=column.decimals - 1)  # two numbers in the width of one
        return f"{short.text(found[0])}..{short.text(found[-1])}"
    return column.text(found[0]) if len(found) == 1 else ""
