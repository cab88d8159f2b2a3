"""Who leads and who differs, decided here once: Markdown, the terminal's notes and the page only print it.

Per source of activations and L0 target: every row's value at that very L0 with its interval, the leaders of
each score, and the verdict on every pair of rows, all as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.compare.columns import Column
from pipeline.compare.leaders import Mark, leaders, marks
from pipeline.compare.paired.comparison import Family, Member, Pair
from pipeline.compare.paired.estimate import Estimate
from pipeline.compare.paired.verdict import SIGNS, Verdict
from pipeline.compare.scores import Name, Scores, Source


@dataclass(frozen=True)
class Value:
    """One score of one row of the table at the common L0; sorted by `order`, None without a value."""

    text: str
    interval: tuple[str, str] | None = None
    mark: Mark = ""
    detail: str = ""
    order: float | None = None
    interpolated: bool = False


@dataclass(frozen=True)
class Difference:
    """One row minus another; `half` is half the width of the 95 % interval."""

    verdict: Verdict
    text: str = ""
    half: str = ""
    detail: str = ""

    @property
    def sign(self) -> str:
        """One character that says the verdict."""
        return SIGNS[self.verdict]


@dataclass(frozen=True)
class Standing:
    """One score at one L0: a value per row, its leaders, and every pair."""

    column: Column
    values: Mapping[str, Value]
    leaders: list[str]  # the best row alone, or it and all not told apart from it, best value first
    beaten: list[str]  # rows that the best one is told apart from
    compared: int  # rows that the best one was compared with
    pairs: Mapping[str, Mapping[str, Difference]]
    told_apart: int  # pairs
    equal: int  # pairs shown to differ by less than the margin
    margin: str
    detectable: str

    @property
    def open(self) -> bool:
        """Whether the best row is told apart from fewer than half of the others."""
        return 2 * len(self.beaten) < self.compared


@dataclass(frozen=True)
class Level:
    """All scores of one source of activations at one L0 target."""

    source: Name
    target: float
    labels: list[str]
    l0: Mapping[str, str]
    scores: list[Standing] = field(default_factory=list)

    @property
    def pairs(self) -> int:
        """How many pairs of rows there are."""
        return len(self.labels) * (len(self.labels) - 1) // 2


def standing(scores: Scores, families: Sequence[Family]) -> list[Level]:
    """Text first, then ground truth; each in rising L0 targets."""
    return [
        _level(source, [each for each in families if (each.source, each.target) == (source.name, target)])
        for source in scores
        for target in source.targets
    ]


def _level(source: Source, families: Sequence[Family]) -> Level:
    labels = [each.label for each in families[0].members]
    l0 = {
        each.label: f"{each.l0:.3g}"
        for family in families[::-1]
        for each in family.members
        if each.l0 is not None
    }
    complete = {label: l0.get(label, "") for label in labels}
    return Level(
        source.name, families[0].target, labels, complete, [_standing(source, each) for each in families]
    )


def _standing(source: Source, family: Family) -> Standing:
    values = {each.label: each.value for each in family.members if each.value is not None}
    leading = leaders(values, family.column.better, family.beats)
    pairs = {
        a.label: {b.label: difference(family.pair(a.label, b.label), family.column)
                  for b in family.members if b is not a}
        for a in family.members
    }  # fmt: skip
    against = pairs[leading[0]] if leading else {}
    mark = marks(leading)
    least = family.detectable()
    return Standing(
        family.column,
        {each.label: _value(source, family, each, mark.get(each.label, "")) for each in family.members},
        leading,
        [label for label, each in against.items() if each.verdict == "better"],
        sum(each.verdict != "not compared" for each in against.values()),
        pairs,
        sum(pair.verdict in ("better", "worse") for pair in family.pairs),
        sum(pair.verdict == "equal within margin" for pair in family.pairs),
        "" if family.margin is None else f"{family.margin:g}",
        "" if least is None else family.column.text(least),
    )


def _value(source: Source, family: Family, member: Member, mark: Mark) -> Value:
    column = family.column
    if member.value is None:
        return Value("missing", detail=member.reason or "no value")
    run = next(each for each in source.runs if (each.label, each.target) == (member.label, family.target))
    seeds = source.summary(run, column.key)
    return Value(
        column.text(member.value),
        None if member.mean is None else (column.text(member.mean.low), column.text(member.mean.high)),
        mark,
        f"{member.how} at L0 {member.l0:.3g}; {seeds.seeds} of {seeds.of} seeds",
        float(f"{member.value:.9g}"),
        interpolated=member.how != "reached",
    )


def difference(pair: Pair | None, column: Column) -> Difference:
    """What is said of `pair`; None: of a row and itself, nothing."""
    if pair is None or pair.difference is None or pair.verdict == "not compared":
        return Difference("not compared", detail=pair.reason or "" if pair else "")
    found = pair.difference
    return Difference(
        pair.verdict, column.signed(found.value), column.text(found.half), _detail(pair, found, column)
    )


def _detail(pair: Pair, found: Estimate, column: Column) -> str:
    equal = "" if pair.p_equal_holm is None else f", that it is not within the margin {pair.p_equal_holm:.2g}"
    return (
        f"95 % interval {column.signed(found.low)} to {column.signed(found.high)}; "
        f"p after Holm of no difference {pair.p_holm:.2g}{equal}; "
        f"minimum detectable {column.text(found.detectable)}"
    )


def of_level(level: Level) -> dict[str, Any]:
    """The content of one level in standing.json."""
    return {
        "source": level.source, "target": level.target, "labels": level.labels, "l0": level.l0,
        "columns": [_of_score(each) for each in level.scores],
    }  # fmt: skip


def _of_score(found: Standing) -> dict[str, Any]:
    column = found.column
    return {
        "name": column.name, "title": column.head, "better": column.better, "stage": column.stage,
        "metric": column.metric, "leaders": found.leaders, "beaten": found.beaten,
        "compared": found.compared, "open": found.open, "detectable": found.detectable,
        "told_apart": found.told_apart, "equal": found.equal, "margin": found.margin,
        "cells": {label: {**asdict(each), "interval": " to ".join(each.interval or ())}
                  for label, each in found.values.items()},
        "pairs": {a: {b: of_difference(each) for b, each in row.items()} for a, row in found.pairs.items()},
    }  # fmt: skip


def of_difference(found: Difference) -> dict[str, Any]:
    """The content of one difference in standing.json."""
    return {**asdict(found), "sign": found.sign}
