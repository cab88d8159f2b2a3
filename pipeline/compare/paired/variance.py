"""How sure a difference of two methods is when items and training seeds both vary.

The design is crossed: K methods, each trained on the same S seeds, all measured on the same N items
(contexts, words, texts). It is that of multi-reader multi-case studies, with methods for modalities,
seeds for readers and items for cases, and their analysis is used here (Obuchowski and Rockette 1995,
Communications in Statistics 24:285; degrees of freedom: Satterthwaite 1946, Biometrics Bulletin 2:110, as
Hillis 2007, Statistics in Medicine 26:596, uses them). With a and b two methods of a table:

    Var(mean over seeds of a - b) = (V_a + V_b) / S + C

V_a is the variance over seeds of a's value once what a seed does to all methods alike is taken off: training
noise, and the part of the item noise that differs between seeds. C is the covariance of two seeds'
differences that the common items cause, estimated by a bootstrap that draws the same items for every SAE (a
negative estimate counts as 0). V / S alone would forget the items, a bootstrap over items alone the
seeds, and resampling two seeds gives half the variance.

Methods need not be equally noisy, and S - 1 degrees of freedom are few. So V_a is the method's own mean
square and that of all other methods together, weighted by their degrees of freedom, where the others' count
as no more than `PRIOR` of them (the posterior mean of a variance whose prior is a scaled inverse chi-square:
Smyth 2004, Statistical Applications in Genetics 3:3, equation 8; the weight is ours):

    V_a = (w others + (S - 1) own) / (w + S - 1)                       df = w + S - 1
    1 / w = (1 + 1 / (K - 2)) / PRIOR + 1 / ((K - 2)(S - 1))

The terms of 1 / w are how unlike a method may be to the K - 2 others, and how little these tell of
themselves. With two methods there are no others: the test is the paired t test. With many seeds every method
has its own variance.

A row that missed its L0 target at any seed takes no part in the noise of the rows that met it: one SAE that
ran away would widen every interval of its column. Its own interval, and pairs with it, use the noise of all
rows. L0 alone decides which rows these are, not the score (ours).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.compare.paired.estimate import Estimate

PRIOR = 2
"""How many degrees of freedom the other methods' noise counts as. The largest number with which Holm's 5 %
over the 66 pairs of 12 methods of two seeds holds, when their noise differs as much as that of real columns
or one is six times as noisy (docs/compare.md)."""

Index = Any
"""A row's place, or an array of places."""


@dataclass(frozen=True)
class Values:
    """One method: its value at each seed (S,), and under each resample of the N items (R, S), if any."""

    by_seed: np.ndarray
    draws: np.ndarray | None = None  # NaN where a resample leaves it undefined
    items: int = 0

    @property
    def of_pairs(self) -> Values:
        """The same when each seed's value is its mean over pairs with the other seeds, S at least 3.

        Two seeds' values share a pair, which hides most of their spread: to first order the standard error of
        such a mean (a U-statistic, Hoeffding 1948) is 2 (S - 1) / (S - 2) times that of independent values.
        """
        seeds, mean = len(self.by_seed), self.by_seed.mean()
        spread = 2 * (seeds - 1) / (seeds - 2) * (self.by_seed - mean)
        return Values(mean + spread, self.draws, self.items)


@dataclass(frozen=True)
class Noise:
    """The variances over seeds of K methods; leading axes are tables of their own."""

    rows: np.ndarray  # (..., K), without what a seed does to all methods alike
    df: float  # of each of them
    common: np.ndarray  # (..., K), of the mean over methods: the same for each of them
    seeds: int

    def of_difference(self, a: Index, b: Index) -> tuple[np.ndarray, np.ndarray]:
        """Variance of the mean over seeds of a - b, without items, and its degrees of freedom."""
        first, second = self.rows[..., a], self.rows[..., b]
        total = first + second
        # of K rows, two estimates share about 1 / (K - 1) of what they rest on; all of it where K is 2
        shared = 2 * first * second / (self.rows.shape[-1] - 1)
        weight = (first**2 + second**2 + shared) / self.df
        df = np.divide(total**2, weight, out=np.full_like(total, self.df), where=weight > 0)
        return total / self.seeds, df

    def of_value(self, a: Index) -> tuple[np.ndarray, np.ndarray]:
        """Variance of one method's mean over seeds, without items, and its degrees of freedom."""
        own = self.rows[..., a] * (1 - 1 / self.rows.shape[-1])
        return added((self.common[..., a] / self.seeds, self.seeds - 1), (own / self.seeds, self.df))


def noise(values: np.ndarray) -> Noise:
    """The variances over seeds of `values` (..., K, S), S at least 2; for K = 1 all of it is common."""
    k, s = values.shape[-2:]
    within = values - values.mean(-1, keepdims=True)
    of_seed = within.mean(-2, keepdims=True)
    squares = _without_rounding(np.square(within - of_seed).sum(-1), values)
    own = squares * k / max(k - 1, 1)  # each row against the mean of the others: S - 1 degrees of freedom
    others = np.maximum(squares.sum(-1, keepdims=True) - own, 0.0)  # orthogonal to it
    others_df = max(k - 2, 0) * (s - 1)
    weight = 1 / ((1 + 1 / (k - 2)) / PRIOR + 1 / others_df) if others_df else 0.0
    rows = (weight * others / max(others_df, 1) + own) / (weight + s - 1)
    common = _without_rounding(np.square(of_seed).sum(-1), values) / (s - 1)
    return Noise(rows, weight + s - 1, np.broadcast_to(common, rows.shape), s)


def _without_rounding(squares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of squares, 0 where they are no more than what rounding the largest value of a table leaves."""
    largest = np.abs(values).max((-2, -1))[..., None]
    return np.where(squares > np.square(1e-12 * largest), squares, 0.0)


def added(*parts: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The sum of independent variances with their degrees of freedom, and its own (Satterthwaite 1946)."""
    total = np.sum([variance for variance, _ in parts], axis=0)
    weight = np.sum([np.square(variance) / df for variance, df in parts], axis=0)
    least = np.full_like(total, min(np.min(df) for _, df in parts))
    return total, np.divide(np.square(total), weight, out=least, where=weight > 0)


@dataclass(frozen=True)
class Table:
    """K methods measured on the same seeds and items, and their noise."""

    rows: Sequence[Values]
    noise: Noise
    steady: Noise | None = None  # of the rows that met their target
    places: Mapping[int, int] = field(default_factory=dict)  # of a row in it, by its place in `rows`

    @classmethod
    def of(cls, rows: Sequence[Values], missed: Sequence[bool] = ()) -> Table:
        """The table of `rows`, all with the same number of seeds, at least 2; `missed`: their L0 target."""
        values = np.stack([row.by_seed for row in rows])
        met = [place for place in range(len(rows)) if not (missed and missed[place])]
        if len(met) in (0, len(rows)):
            return cls(rows, noise(values))
        return cls(rows, noise(values), noise(values[met]), {place: i for i, place in enumerate(met)})

    def difference(self, a: int, b: int) -> Estimate:
        """The mean over seeds of row `a` minus row `b`."""
        first, second = self.rows[a], self.rows[b]
        draws = None
        if first.draws is not None and second.draws is not None:
            draws = first.draws - second.draws
        gap = Values(first.by_seed - second.by_seed, draws, first.items)
        found, (a, b) = self._noise_of(a, b)
        return _estimate(gap, *found.of_difference(a, b))

    def mean(self, a: int) -> Estimate:
        """The mean over seeds of row `a`."""
        found, (place,) = self._noise_of(a)
        return _estimate(self.rows[a], *found.of_value(place))

    def _noise_of(self, *places: int) -> tuple[Noise, tuple[int, ...]]:
        """The noise that judges these rows, and their places in it: that of the rows on target if all are."""
        if self.steady is None or not all(place in self.places for place in places):
            return self.noise, places
        return self.steady, tuple(self.places[place] for place in places)


def _estimate(method: Values, by_seed: np.ndarray, df: np.ndarray) -> Estimate:
    of_items = covariance(method)
    if of_items is None:
        return Estimate(float(method.by_seed.mean()), np.inf, 1.0)
    square, of_sum = added((by_seed, df), (of_items, max(method.items - 1, 1)))
    return Estimate(float(method.by_seed.mean()), float(square) ** 0.5, float(of_sum))


def covariance(method: Values) -> float | None:
    """What the common items add: the mean covariance of two seeds' values under resampling, at least 0.

    Of the resamples under which all seeds have a value; None where these are fewer than half.
    """
    if method.draws is None or method.items < 2:
        return 0.0
    known = method.draws[np.isfinite(method.draws).all(1)]
    if 2 * len(known) < len(method.draws):
        return None
    seeds = known.shape[1]
    centred = known - known.mean(0)
    # the mean over ordered pairs of seeds, from the variance of the sum
    of_sum, own = np.square(centred.sum(1)).sum(), np.square(centred).sum()
    found = float(of_sum - own) / (seeds * (seeds - 1) * (len(centred) - 1))
    return max(found, 0.0) * method.items / (method.items - 1)
