"""How sure one SAE's number is: Wilson intervals and the bootstrap over items.

Both speak of the items measured on (contexts, words, texts) and of that one SAE. What training seeds add,
and what differs between methods, is in pipeline/compare/paired.

By hand, and tested against SciPy: importing scipy.stats takes a second in each of forty stages, and the
bootstrap of one ratio over 833 items takes 3.5 ms instead of 36, because all statistics share their draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
"""Coverage of every interval."""

Sums = Mapping[str, np.ndarray]
"""Named column sums, each (R,): one entry per resample."""

Statistic = Callable[[Sums], np.ndarray]
"""From column sums to the statistic, (R,); NaN where it is not defined."""


@dataclass(frozen=True)
class Interval:
    """The bounds of a 95 % interval."""

    low: float
    high: float


def wilson(successes: int, items: int) -> Interval:
    """The score interval of a proportion (Wilson 1927), good for small counts and near 0 or 1.

    Raises ValueError unless 0 <= successes <= items and items >= 1.
    """
    if not 0 <= successes <= items or items < 1:
        raise ValueError(f"{successes} successes of {items} items is no proportion")
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    share, weight = successes / items, 1 + z * z / items
    centre = (share + z * z / (2 * items)) / weight
    half = z / weight * sqrt(share * (1 - share) / items + z * z / (4 * items * items))
    # the bounds of 0 and of all successes are exactly 0 and 1; rounding would leave them a hair off
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    return Interval(low, 1.0 if successes == items else min(centre + half, 1.0))


def bootstrap(sums: Sums, statistic: Statistic, resamples: int, seed: int) -> Interval | None:
    """The percentile bootstrap of `statistic` over items; `sums` hold one entry per item, (N,) each.

    Items are drawn N of N with replacement and their sums added, so a ratio is a ratio of pooled sums.
    Equal N and seed draw equal items, whatever the columns. None for fewer than two items, or when a
    resample leaves the statistic undefined.
    """
    names = list(sums)
    table = np.stack([np.asarray(sums[name], dtype=np.float64) for name in names], axis=1)
    if len(table) < 2:
        return None
    return _percentiles(_evaluate(statistic, names, resampled(table, resamples, seed)))


def pooled(sums: Sums, statistic: Statistic) -> float:
    """`statistic` of all items' sums; NaN where it is not defined."""
    total = np.stack([np.asarray(column, dtype=np.float64).sum(keepdims=True) for column in sums.values()], 1)
    return float(_evaluate(statistic, list(sums), total)[0])


def resampled(table: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(R, C): the sums of `table` (N, C) over `resamples` draws of N items with replacement.

    Equal N, `resamples` and `seed` draw equal items, which is what pairs two tables.
    """
    # einsum, not BLAS: the same bits on any number of cores; a column in one piece is 4 times as fast for few
    return np.einsum("ri,ci->rc", _draws(len(table), resamples, seed), np.ascontiguousarray(table.T))


@lru_cache(maxsize=8)  # the metrics of one evaluation share their draws, one for each number of items
def _draws(items: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, items): how often each item is drawn."""
    draws = np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), size=resamples)
    counts = draws.astype(np.float64)
    counts.setflags(write=False)
    return counts


def _evaluate(statistic: Statistic, names: list[str], table: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return statistic({name: table[:, column] for column, name in enumerate(names)})


def _percentiles(values: np.ndarray) -> Interval | None:
    if not np.isfinite(values).all():
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
