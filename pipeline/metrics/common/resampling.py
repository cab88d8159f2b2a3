"""Numbers with their intervals: shares of items, and statistics of sums per item.

Every pooled number and its bootstrap interval come from one table (items, columns) in float64, and
that table is what a later paired comparison resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.numbers.definition import Items
from pipeline.numbers.number import Number, missing
from pipeline.stats.intervals import Statistic, Sums, bootstrap, pooled, wilson


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    resamples: int = 1000
    seed: int = 0


def share(count: int, items: int) -> Number:
    """The share `count` of `items` has, with its Wilson interval; `items` >= 1."""
    bounds = wilson(count, items)
    return Number(count / items, items, low=bounds.low, high=bounds.high)


def estimate(
    sums: Sums, statistic: Statistic, items: int, plan: Resampling, otherwise: str = "it is not defined"
) -> Number:
    """`statistic` of the pooled `sums` with its bootstrap interval; missing for the reason `otherwise`."""
    point = pooled(sums, statistic)
    if not np.isfinite(point):
        return missing(otherwise)
    interval = bootstrap(sums, statistic, plan.resamples, plan.seed)
    if interval is None:
        return Number(point, items)
    return Number(point, items, low=interval.low, high=interval.high)


class ItemSums:
    """Float64 sums of named `columns`, one row per item (a context), items in order of arrival."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._items: list[Tensor] = []
        self._sums: list[Tensor] = []

    def add(self, item: Tensor, **values: Tensor) -> None:
        """Add token values (B,), each to the item of its token, `item` (B,). An item comes in one call only.

        Summed on the CPU, where scattered additions have one order on every run.
        """
        items, where = torch.unique(item.cpu(), return_inverse=True)
        table = torch.stack([values[name].double().cpu() for name in self.columns], dim=1)
        sums = torch.zeros(len(items), len(self.columns), dtype=torch.float64)
        self._items.append(items)
        self._sums.append(sums.index_add_(0, where, table))

    def table(self) -> Mapping[str, np.ndarray]:
        """(items,) float64 per column."""
        sums = torch.cat(self._sums) if self._sums else torch.zeros(0, len(self.columns), dtype=torch.float64)
        return dict(zip(self.columns, sums.T.numpy(), strict=True))

    def total(self, column: str) -> float:
        """The sum of a column over all items."""
        return float(self.table()[column].sum())

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per item for a table: `context` and the sums."""
        columns = {name: column.tolist() for name, column in self.table().items()}
        items = torch.cat(self._items).tolist() if self._items else []
        for context, *sums in zip(items, *columns.values(), strict=True):
            yield {"context": context, **dict(zip(columns, sums, strict=True))}

    def number(self, statistic: Statistic, items: int, plan: Resampling, otherwise: str) -> Number:
        """`statistic` of the pooled sums with its interval over items; missing for the reason `otherwise`."""
        return estimate(self.table(), statistic, items, plan, otherwise)


def ratio(numerator: str, denominator: str) -> Statistic:
    """The statistic sum of one column over sum of another."""
    return lambda sums: sums[numerator] / sums[denominator]


def statistic_of(items: Items) -> Statistic:
    """The statistic that `items`, without groups, says how to draw again: one formula for both."""

    def over(sums: Sums, numerator: Mapping[str, float], denominator: Mapping[str, float]) -> np.ndarray:
        above, below = (sum(factor * sums[name] for name, factor in part.items())
                        for part in (numerator, denominator))  # fmt: skip
        return np.asarray(above / below)

    def statistic(sums: Sums) -> np.ndarray:
        score = over(sums, items.numerator, items.denominator)
        if items.over_numerator:
            score = score / over(sums, items.over_numerator, items.over_denominator)
        return 1 - score if items.complement else score

    return statistic
