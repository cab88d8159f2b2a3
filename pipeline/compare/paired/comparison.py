"""Every pair of rows at a common L0: whether they differ, by how much and how sure.

One family is one score at one L0 target. Its rows are brought to that L0 (at_target.py), their
differences get an interval (variance.py), and all its pairs are judged together (verdict.py); pairs of
other scores and other targets are other families. This is exploration: the few comparisons that were named in
advance are judged apart (pipeline/compare/planned.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from math import isinf

import numpy as np
import pandas as pd

from pipeline.compare.columns import Column
from pipeline.compare.paired.at_target import AtTarget, Point, at
from pipeline.compare.paired.estimate import Estimate
from pipeline.compare.paired.resampling import Draws
from pipeline.compare.paired.variance import Table, Values
from pipeline.compare.paired.verdict import RESOLVED, Verdict, judge
from pipeline.compare.scores import Name, Scores, Source, each_row
from pipeline.numbers.definition import Better

Margins = Mapping[str, float]
"""By headline name: a difference smaller than it counts as equal."""


ONE_PAIR = "two seeds make one pair, which shows no spread"
UNDEFINED = "more than half of the resamples of its items leave it undefined"


@dataclass(frozen=True)
class Member:
    """One row of the table at the common L0: a value per seed, or the reason why it takes no part."""

    label: str
    by_seed: tuple[AtTarget, ...]
    items: int = 0
    reason: str | None = None
    mean: Estimate | None = None
    missed: bool = False  # its own runs' target, at any seed

    @property
    def value(self) -> float | None:
        """The mean over seeds; None unless every seed has a value."""
        return _mean([each.value for each in self.by_seed], of=len(self.by_seed))

    @property
    def l0(self) -> float | None:
        """Where the values stand, mean over seeds."""
        return _mean([each.l0 for each in self.by_seed])

    @property
    def how(self) -> str:
        """`interpolated`, `reached`, or both when the seeds differ."""
        return ", ".join(sorted({each.how for each in self.by_seed if each.how}))

    @property
    def slack(self) -> float | None:
        """What the rest of the gap to the common L0 may be worth; None where no slope is known."""
        return _mean([each.slack for each in self.by_seed], of=len(self.by_seed))

    @property
    def values(self) -> Values:
        """The values and draws of all seeds; only for a row that takes part."""
        values = np.array([each.value for each in self.by_seed], dtype=np.float64)
        draws = [each.draws for each in self.by_seed if each.draws is not None]
        if len(draws) < len(self.by_seed):
            return Values(values)
        return Values(values, np.stack(draws, axis=1), self.items)


def _mean(values: list[float | None], of: int = 0) -> float | None:
    """Of the known `values`; None when there is none, or fewer than `of`."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) >= of else None


@dataclass(frozen=True)
class Pair:
    """Row `a` against row `b`; the verdict is on `a`."""

    a: Member
    b: Member
    verdict: Verdict
    difference: Estimate | None = None  # a - b
    allowance: float | None = None  # part of it that unequal L0 may make
    p: float | None = None
    p_holm: float | None = None
    p_equal: float | None = None
    p_equal_holm: float | None = None
    reason: str | None = None

    @property
    def resolved(self) -> bool:
        """Whether the rows are told apart or shown equal."""
        return self.verdict in RESOLVED

    @property
    def reversed(self) -> Pair:
        """Row `b` against row `a`."""
        found = self.difference
        back = None if found is None else found.negative
        opposite: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
        verdict = opposite.get(self.verdict, self.verdict)
        return replace(self, a=self.b, b=self.a, verdict=verdict, difference=back)


@dataclass(frozen=True)
class Family:
    """One score at one L0 target: its rows in the table's order, and all their pairs."""

    source: Name
    column: Column
    target: float
    seeds: int
    members: list[Member]
    pairs: list[Pair]
    margin: float | None = None  # a difference smaller than it counts as equal

    def pair(self, a: str, b: str) -> Pair | None:
        """The pair of these labels, `a` first; None for a row with itself."""
        for pair in self.pairs:
            if (pair.a.label, pair.b.label) == (a, b):
                return pair
            if (pair.a.label, pair.b.label) == (b, a):
                return pair.reversed
        return None

    def beats(self, a: str, b: str) -> bool | None:
        """Whether row `a` is found better than row `b`; None where they were not compared."""
        pair = self.pair(a, b)
        return None if pair is None or pair.verdict == "not compared" else pair.verdict == "better"

    def detectable(self) -> float | None:
        """The median minimum detectable difference of the compared pairs."""
        found = sorted(pair.difference.detectable for pair in self.pairs if pair.difference is not None)
        return found[len(found) // 2] if found else None


def families(scores: Scores, draws: Draws, margins: Margins) -> list[Family]:
    """The scores on the language model, then on ground truth; per score, the targets in rising order."""
    return [
        _family(source, column, target, points, draws, margins.get(column.name))
        for source in scores
        for column in source.scores
        for points in [_points(source, column)]
        for target in source.targets
    ]


def _points(source: Source, column: Column) -> pd.DataFrame:
    """A row per SAE with an L0 target: its L0 as `reached`, and the score's `value` and `reason`."""
    key = ["label", "run", "seed"]
    reached = source.values(source.l0.key)[[*key, "value"]].rename(columns={"value": "reached"})
    score = source.values(column.key)[[*key, "value", "reason"]]
    saes = source.saes[[*key, "target", "diverged"]].dropna(subset="target")
    return saes.merge(reached, on=key, how="left").merge(score, on=key, how="left")


def _family(
    source: Source, column: Column, target: float, points: pd.DataFrame, draws: Draws, margin: float | None
) -> Family:
    seeds = sorted(points.seed.unique())
    missed = {run.label for run in source.runs if run.target == target and run.missed}
    members = [
        replace(_member(column, target, points[points.label == label], seeds, draws), missed=label in missed)
        for label in points.label[points.target == target].unique()
    ]
    taking_part = [each for each in members if each.reason is None]
    family = Family(source.name, column, target, len(seeds), members, [], margin)
    if len(seeds) < 2 or len(taking_part) < 2:
        reason = "one training seed shows no spread" if len(seeds) < 2 else "no other row has a value"
        pairs = [Pair(a, b, "not compared", reason=a.reason or b.reason or reason)
                 for a, b in combinations(members, 2)]  # fmt: skip
        return replace(family, pairs=pairs)
    values = [each.values for each in taking_part]
    table = Table.of(
        [each.of_pairs for each in values] if column.pairs_of_seeds else values,
        [each.missed for each in taking_part],
    )
    place = {each.label: i for i, each in enumerate(taking_part)}
    members = [_with_mean(each, table, place) for each in members]
    pairs = [_pair(a, b, table, place) for a, b in combinations(members, 2)]
    return replace(family, members=members, pairs=judged(pairs, column.better, margin))


def _with_mean(member: Member, table: Table, place: Mapping[str, int]) -> Member:
    """`member` with its interval, if it takes part and its values vary at all."""
    found = table.mean(place[member.label]) if member.label in place else None
    known = found is not None and found.error > 0 and not isinf(found.error)
    return replace(member, mean=found) if known else member


def _member(column: Column, target: float, points: pd.DataFrame, seeds: list[int], draws: Draws) -> Member:
    label = str(points.label.iloc[0])
    by_seed = tuple(_at(column, target, points[points.seed == seed], draws) for seed in seeds)
    reasons = [
        f"{label}, seed {seed}: {each.reason}"
        for seed, each in zip(seeds, by_seed, strict=True)
        if each.value is None
    ]
    which = [(column.key, label, point.run, point.seed) for point in each_row(points)]
    if column.pairs_of_seeds and len(seeds) == 2:
        reasons.append(ONE_PAIR)
    items = min((draws[each].items for each in which if each in draws), default=0)
    return Member(label, by_seed, items, "; ".join(reasons) or None)


def _at(column: Column, target: float, points: pd.DataFrame, draws: Draws) -> AtTarget:
    """The score of one seed's runs at `target`; a target whose own run diverged has none."""
    known = []
    for point in each_row(points):
        if point.target == target and pd.notna(point.diverged):
            return AtTarget(None, reason=f"diverged: {point.diverged}")
        if pd.notna(point.reached):
            drawn = draws.get((column.key, point.label, point.run, point.seed))
            value, reason = (point.value, None) if pd.notna(point.value) else (None, point.reason)
            known.append(Point(point.reached, value, drawn.draws if drawn else None, reason))
    return at(known, target)


def _pair(a: Member, b: Member, table: Table, place: Mapping[str, int]) -> Pair:
    reasons = [each.reason for each in (a, b) if each.reason is not None]
    if reasons:
        return Pair(a, b, "not compared", reason="; ".join(reasons))
    found = table.difference(place[a.label], place[b.label])
    if isinf(found.error):
        return Pair(a, b, "not compared", reason=UNDEFINED)
    if found.error == 0 and found.value != 0:
        return Pair(a, b, "not compared", found, reason="no spread at all over seeds to judge it by")
    slack = None if a.slack is None or b.slack is None else abs(a.slack - b.slack)
    return Pair(a, b, "not distinguishable", found, slack)


def judged(pairs: Sequence[Pair], better: Better, margin: float | None) -> list[Pair]:
    """`pairs` with the verdicts that they get as one family; one that could not be compared stays so."""
    known = [pair for pair in pairs if pair.verdict != "not compared"]
    estimates = [pair.difference for pair in known if pair.difference is not None]
    found = iter(judge(estimates, [pair.allowance or 0.0 for pair in known], better, margin))
    return [
        pair if pair.verdict == "not compared" else replace(pair, **asdict(next(found))) for pair in pairs
    ]
