"""Every pair of rows at a common L0: whether they differ, by how much and how sure.

One family is one score at one L0 target. Its rows are brought to that L0 (matched.py), their
differences get an interval (variance.py), and the p values of all its pairs are adjusted together by
Holm's method; pairs of other scores and other targets are other families.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from pipeline.compare.board import Board, Entry
from pipeline.compare.headline import L0, SCORES, TRUTH, TRUTH_L0, Headline
from pipeline.compare.paired.matched import Matched, Point, at
from pipeline.compare.paired.variance import LEVEL, Cell, Estimate, Noise, difference, holm, mean, noise

Verdict = Literal["better", "worse", "not distinguishable", "not compared"]
Which = tuple[str, str, str, int]
"""(headline, label, run, seed)."""


@dataclass(frozen=True)
class Sampled:
    """One SAE's score under each resample (R,) of its N items."""

    draws: np.ndarray
    items: int


Draws = Mapping[Which, Sampled]


@dataclass(frozen=True)
class Standing:
    """One row at the common L0: a value per seed, or the reason why it takes no part."""

    label: str
    by_seed: tuple[Matched, ...]
    items: int = 0
    reason: str | None = None
    mean: Estimate | None = None

    @property
    def value(self) -> float | None:
        """The mean over seeds; None unless every seed has a value."""
        known = [each.value for each in self.by_seed if each.value is not None]
        return sum(known) / len(known) if known and len(known) == len(self.by_seed) else None

    @property
    def l0(self) -> float | None:
        """Where the values stand, mean over seeds."""
        known = [each.l0 for each in self.by_seed if each.l0 is not None]
        return sum(known) / len(known) if known else None

    @property
    def how(self) -> str:
        """`interpolated`, `reached`, or both when the seeds differ."""
        return ", ".join(sorted({each.how for each in self.by_seed if each.how}))

    @property
    def slack(self) -> float | None:
        """What the rest of the gap to the common L0 may be worth; None where no slope is known."""
        known = [each.slack for each in self.by_seed if each.slack is not None]
        return sum(known) / len(known) if len(known) == len(self.by_seed) else None

    def cell(self) -> Cell:
        """The values and draws of all seeds; only for a row that takes part."""
        values = np.array([each.value for each in self.by_seed], dtype=np.float64)
        draws = [each.draws for each in self.by_seed if each.draws is not None]
        if len(draws) < len(self.by_seed):
            return Cell(values)
        return Cell(values, np.stack(draws, axis=1), self.items)


@dataclass(frozen=True)
class Pair:
    """Row `a` against row `b`; the verdict is on `a`."""

    a: Standing
    b: Standing
    verdict: Verdict
    difference: Estimate | None = None  # a - b
    allowance: float | None = None  # part of it that unequal L0 may make
    p: float | None = None
    p_holm: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Family:
    """One score at one L0 target: its rows in the table's order, and all their pairs."""

    column: Headline
    target: float
    seeds: int
    rows: list[Standing]
    pairs: list[Pair]

    def pair(self, a: str, b: str) -> Pair | None:
        """The pair of these labels, `a` first; None for a row with itself."""
        for pair in self.pairs:
            if (pair.a.label, pair.b.label) == (a, b):
                return pair
            if (pair.a.label, pair.b.label) == (b, a):
                return _turned(pair)
        return None

    def detectable(self) -> float | None:
        """The median minimum detectable difference of the compared pairs."""
        found = sorted(pair.difference.detectable for pair in self.pairs if pair.difference is not None)
        return found[len(found) // 2] if found else None


def families(board: Board, draws: Draws) -> list[Family]:
    """The scores on the language model, then on ground truth; per score, the targets in rising order."""
    return [
        _family(column, target, entries, l0, draws)
        for entries, l0, columns in ((board.entries, L0, SCORES), (board.truth, TRUTH_L0, TRUTH))
        for column in columns
        for target in sorted({entry.target for entry in entries if entry.target is not None})
    ]


def _family(column: Headline, target: float, entries: Sequence[Entry], l0: Headline, draws: Draws) -> Family:
    aimed = [entry for entry in entries if entry.target is not None]
    seeds = sorted({entry.seed for entry in aimed})
    rows = [
        _standing(column, target, [entry for entry in aimed if entry.label == label], seeds, l0, draws)
        for label in dict.fromkeys(entry.label for entry in aimed if entry.target == target)
    ]
    values = [row.cell().values for row in rows if row.reason is None]
    if len(seeds) < 2 or len(values) < 2:
        reason = "one training seed shows no spread" if len(seeds) < 2 else "no other row has a value"
        pairs = [Pair(a, b, "not compared", reason=a.reason or b.reason or reason)
                 for a, b in combinations(rows, 2)]  # fmt: skip
        return Family(column, target, len(seeds), rows, pairs)
    shared = noise(np.stack(values))
    rows = [_with_interval(row, shared) for row in rows]
    return Family(column, target, len(seeds), rows, _pairs(rows, shared, column))


def _standing(
    column: Headline, target: float, entries: Sequence[Entry], seeds: Sequence[int], l0: Headline,
    draws: Draws,
) -> Standing:  # fmt: skip
    label = entries[0].label
    by_seed = tuple(
        _at(column, target, [entry for entry in entries if entry.seed == seed], l0, draws) for seed in seeds
    )
    reasons = [
        f"{label}, seed {seed}: {each.reason}"
        for seed, each in zip(seeds, by_seed, strict=True)
        if each.value is None
    ]
    items = [draws[which].items for entry in entries if (which := _which(column, entry)) in draws]
    return Standing(label, by_seed, min(items, default=0), "; ".join(reasons) or None)


def _at(column: Headline, target: float, entries: Sequence[Entry], l0: Headline, draws: Draws) -> Matched:
    """The score of one seed's runs at `target`; a target whose own run diverged has none."""
    points = []
    for entry in entries:
        if entry.target == target and entry.diverged:
            return Matched(None, reason=f"diverged: {entry.diverged}")
        reached, score = entry.get(l0.key).value, entry.get(column.key)
        if reached is not None:
            sampled = draws.get(_which(column, entry))
            points.append(Point(reached, score.value, sampled.draws if sampled else None, score.reason))
    return at(points, target)


def _which(column: Headline, entry: Entry) -> Which:
    return column.name, entry.label, entry.run, entry.seed


def _with_interval(row: Standing, shared: Noise) -> Standing:
    if row.reason is not None:
        return row
    return Standing(row.label, row.by_seed, row.items, None, mean(row.cell(), shared))


def _pairs(rows: Sequence[Standing], shared: Noise, column: Headline) -> list[Pair]:
    pairs = [_pair(a, b, shared) for a, b in combinations(rows, 2)]
    adjusted = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    return [
        pair if pair.p is None else _judged(pair, next(adjusted), column) for pair in pairs
    ]  # fmt: skip


def _pair(a: Standing, b: Standing, shared: Noise) -> Pair:
    reasons = [row.reason for row in (a, b) if row.reason is not None]
    if reasons:
        return Pair(a, b, "not compared", reason="; ".join(reasons))
    found = difference(a.cell(), b.cell(), shared)
    if found.error == 0 and found.value != 0:
        return Pair(a, b, "not compared", found, reason="no spread at all over seeds to judge it by")
    slack = None if a.slack is None or b.slack is None else abs(a.slack - b.slack)
    return Pair(a, b, "not distinguishable", found, slack, found.p(slack or 0.0))


def _judged(pair: Pair, adjusted: float, column: Headline) -> Pair:
    assert pair.difference is not None
    verdict: Verdict = "not distinguishable"
    if adjusted < 1 - LEVEL:
        verdict = "better" if (pair.difference.value > 0) == (column.better == "higher") else "worse"
    return Pair(pair.a, pair.b, verdict, pair.difference, pair.allowance, pair.p, adjusted)


TURNED: Mapping[Verdict, Verdict] = {"better": "worse", "worse": "better"}


def _turned(pair: Pair) -> Pair:
    found = pair.difference
    back = None if found is None else Estimate(-found.value, found.error, found.df)
    verdict = TURNED.get(pair.verdict, pair.verdict)
    return Pair(pair.b, pair.a, verdict, back, pair.allowance, pair.p, pair.p_holm, pair.reason)
