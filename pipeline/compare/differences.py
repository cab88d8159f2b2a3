"""Which rows differ, as small tables of text: Markdown and HTML print the same `Grid`s.

Per L0 target: every row at that very L0 with its 95 % interval, its difference from the baseline, and
for each score a matrix of every row against every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.compare.headline import ARROW, TRUTH_STAGE, Headline
from pipeline.compare.paired.comparison import Family, Pair, Standing, Verdict

BASELINE = "standard"
"""What every row is compared with first; the first row where there is none of this name."""


@dataclass(frozen=True)
class Box:
    """One cell: its text, the verdict that colours it, and what else is known."""

    text: str
    verdict: Verdict | None = None
    detail: str = ""


@dataclass(frozen=True)
class Grid:
    """A table under a title; `folded` where only some readers want it."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Box]]]
    folded: bool = False


@dataclass(frozen=True)
class Chapter:
    """All grids of one L0 target."""

    title: str
    grids: list[Grid]


def chapters(families: Sequence[Family]) -> list[Chapter]:
    """One chapter per source of activations and L0 target."""
    found = []
    for truth in (False, True):
        mine = [family for family in families if (family.column.stage == TRUTH_STAGE) == truth]
        for target in sorted({family.target for family in mine}):
            here = [family for family in mine if family.target == target]
            source = "synthetic activations, " if truth else ""
            found.append(Chapter(f"Which rows differ: {source}L0 {target:g}", _grids(here)))
    return found


def summary(families: Sequence[Family]) -> list[str]:
    """Per chapter one sentence: of how many pairs each score tells apart how many."""
    said = []
    for truth in (False, True):
        mine = [family for family in families if (family.column.stage == TRUTH_STAGE) == truth]
        for target in sorted({family.target for family in mine}):
            counts = [
                f"{family.column.title}: {_apart(family)}/{len(family.pairs)}"
                for family in mine
                if family.target == target
            ]
            source = "Synthetic activations, pairs" if truth else "Pairs"
            said.append(f"{source} told apart at L0 {target:g}. {'; '.join(counts)}.")
    return said


def _apart(family: Family) -> int:
    return sum(pair.verdict in ("better", "worse") for pair in family.pairs)


def _grids(families: Sequence[Family]) -> list[Grid]:
    labels = [row.label for row in families[0].rows]
    baseline = BASELINE if BASELINE in labels else labels[0]
    columns = [family.column for family in families]
    values = [
        (label, [_l0(families, label), *(_value(_row(family, label), family.column) for family in families)])
        for label in labels
    ]
    against = [
        (label, [_difference(family.pair(label, baseline), family.column, half=True) for family in families])
        for label in labels
        if label != baseline
    ]
    least = [_least(family) for family in families]
    titles = [column.title + ARROW[column.better] for column in columns]
    return [
        Grid(f"Values at L0 {families[0].target:g} with 95 % intervals", ["L0", *titles], values),
        Grid(f"Difference from {baseline}", titles, [*against, ("minimum detectable difference", least)]),
        *(_matrix(family, labels) for family in families),
    ]


def _row(family: Family, label: str) -> Standing:
    return next(row for row in family.rows if row.label == label)


def _l0(families: Sequence[Family], label: str) -> Box:
    known = [row.l0 for family in families if (row := _row(family, label)).l0 is not None]
    return Box(f"{known[0]:.3g}" if known else "")


def _value(row: Standing, column: Headline) -> Box:
    if row.value is None:
        return Box("missing", "not compared", row.reason or "")
    text = column.text(row.value)
    if row.mean is not None:
        text += f" [{column.text(row.mean.low)}, {column.text(row.mean.high)}]"
    if row.how != "reached":
        text += " i"
    return Box(text, detail=f"{row.how} at L0 {row.l0:.3g}")


def _difference(pair: Pair | None, column: Headline, half: bool = False) -> Box:
    if pair is None:
        return Box("")
    if pair.difference is None or pair.verdict == "not compared":
        return Box("not compared" if half else "", "not compared", pair.reason or "")
    found = pair.difference
    text = _signed(found.value, column)
    if half:
        text += f" ± {column.text(found.high - found.value)}"
    detail = (
        f"95 % interval {_signed(found.low, column)} to {_signed(found.high, column)}, "
        f"p {pair.p:.2g}, after Holm {pair.p_holm:.2g}, minimum detectable {column.text(found.detectable)}"
    )
    return Box(f"{text} {MARK[pair.verdict]}", pair.verdict, detail)


MARK: dict[Verdict, str] = {"better": "▲", "worse": "▼", "not distinguishable": "~", "not compared": ""}


def _signed(value: float, column: Headline) -> str:
    text = column.text(value)
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def _least(family: Family) -> Box:
    found = family.detectable()
    return Box("" if found is None else family.column.text(found))


def _matrix(family: Family, labels: Sequence[str]) -> Grid:
    rows = [
        (label, [_difference(family.pair(label, other), family.column) for other in labels])
        for label in labels
    ]
    title = f"{family.column.title}{ARROW[family.column.better]}, row minus column"
    return Grid(title, list(labels), rows, folded=True)
