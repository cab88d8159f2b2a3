"""How sure a difference of two methods is when items and training seeds both vary.

The design is crossed: K methods, each trained on the same S seeds, all measured on the same N items
(contexts, words, texts). It is that of multi-reader multi-case studies, with methods for modalities,
seeds for readers and items for cases, and their analysis is used here (Obuchowski and Rockette 1995,
Communications in Statistics 24:285; degrees of freedom: Hillis 2007, Statistics in Medicine 26:596).
With D_s the difference of two methods at seed s:

    Var(mean D) = M / S + C

M is the variance of D_s over seeds: it holds training noise and the part of the item noise that
differs between seeds. C is the covariance of D_s and D_s' that the common items cause, estimated by a
bootstrap that draws the same items for every SAE (a negative estimate counts as 0). M / S alone would forget
the items, a bootstrap over items alone the seeds, and resampling two seeds gives half the variance.

Two seeds estimate M with one degree of freedom, so it is pooled: twice the residual mean square of all K
methods in the two-way table (method, seed), with (K - 1)(S - 1) degrees of freedom. A pair whose own M is
larger keeps its own, because methods need not be equally noisy (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL, POWER = 0.95, 0.80


@dataclass(frozen=True)
class Values:
    """One method: its value at each seed (S,), and under each resample of the N items (R, S), if any."""

    by_seed: np.ndarray
    draws: np.ndarray | None = None
    items: int = 0


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its standard error and degrees of freedom."""

    value: float
    error: float
    df: float

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        return _quantile(0.5 + LEVEL / 2, self.df) * self.error

    @property
    def low(self) -> float:
        """The lower 95 % bound."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """The upper 95 % bound."""
        return self.value + self.half

    @property
    def detectable(self) -> float:
        """The true difference that a two-sided 5 % test finds with a power of 80 %."""
        return self.half + _quantile(POWER, self.df) * self.error

    def p(self, allowance: float = 0.0) -> float:
        """The two-sided p of a true value no further from 0 than `allowance`."""
        beyond = max(abs(self.value) - allowance, 0.0)
        if beyond == 0:
            return 1.0
        return 2 * float(stdtr(self.df, -beyond / self.error)) if self.error else 0.0


def _quantile(p: float, df: float) -> float:
    """Of Student's t."""
    return float(stdtrit(df, p))


@dataclass(frozen=True)
class Noise:
    """The variance over seeds that all methods of one table share, and its degrees of freedom."""

    difference: float  # of D_s
    value: float  # of one method's value
    difference_df: int
    value_df: int


def noise(values: np.ndarray) -> Noise:
    """The pooled variances of `values` (K, S), K and S at least 2."""
    k, s = values.shape
    within = values - values.mean(1, keepdims=True)
    residual = within - within.mean(0)
    return Noise(
        difference=2 * float(np.square(residual).sum()) / ((k - 1) * (s - 1)),
        value=float(np.square(within).sum()) / (k * (s - 1)),
        difference_df=(k - 1) * (s - 1),
        value_df=k * (s - 1),
    )


def difference(first: Values, second: Values, shared: Noise) -> Estimate:
    """The mean over seeds of first - second."""
    draws = None
    if first.draws is not None and second.draws is not None:
        draws = first.draws - second.draws
    gap = Values(first.by_seed - second.by_seed, draws, first.items)
    return _estimate(gap, shared.difference, shared.difference_df)


def mean(method: Values, shared: Noise) -> Estimate:
    """The mean over seeds of one method's value."""
    return _estimate(method, shared.value, shared.value_df)


def holm(p: Sequence[float]) -> list[float]:
    """`p` adjusted so that at most 5 % of families of comparisons hold a false one (Holm 1979).

    By hand: SciPy has no Holm's method.
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min((len(p) - rank) * p[index], 1.0))
        adjusted[index] = largest
    return adjusted


def _estimate(method: Values, pooled: float, df: int) -> Estimate:
    seeds = len(method.by_seed)
    by_seed = max(pooled, float(method.by_seed.var(ddof=1))) / seeds
    by_items = _covariance(method)
    square = by_seed + by_items
    if square == 0:
        return Estimate(float(method.by_seed.mean()), 0.0, df)
    # Satterthwaite's degrees of freedom of the sum; Hillis (2007) leaves the items' term out
    weight = by_seed**2 / df + by_items**2 / max(method.items - 1, 1)
    return Estimate(float(method.by_seed.mean()), square**0.5, square**2 / weight)


def _covariance(method: Values) -> float:
    """What the common items add: the mean covariance of two seeds' values under resampling, at least 0."""
    if method.draws is None or method.items < 2:
        return 0.0
    seeds = method.draws.shape[1]
    centred = method.draws - method.draws.mean(0)
    # the mean over ordered pairs of seeds, from the variance of the sum
    of_sum, own = np.square(centred.sum(1)).sum(), np.square(centred).sum()
    found = float(of_sum - own) / (seeds * (seeds - 1) * (len(centred) - 1))
    return max(found, 0.0) * method.items / (method.items - 1)
