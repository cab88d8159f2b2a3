"""Sums per item: the form in which an evaluation keeps what it measured.

Every pooled number and its bootstrap interval come from one table (items, columns) in float64, and
that table is what a later paired comparison resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.common.number import Value, missing
from pipeline.stats.intervals import Statistic, bootstrap, pooled


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    resamples: int = 1000
    seed: int = 0


class Tally:
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

    def table(self) -> dict[str, np.ndarray]:
        """(items,) float64 per column."""
        sums = torch.cat(self._sums) if self._sums else torch.zeros(0, len(self.columns), dtype=torch.float64)
        return dict(zip(self.columns, sums.T.numpy(), strict=True))

    def total(self, column: str) -> float:
        """The sum of a column over all items."""
        return float(self.table()[column].sum())

    def rows(self, **identity: Any) -> Iterator[dict[str, Any]]:
        """One row per item for a TSV: `identity`, `context` and the sums."""
        table = self.table()
        items = torch.cat(self._items).tolist() if self._items else []
        for index, item in enumerate(items):
            yield {**identity, "context": item, **{name: float(table[name][index]) for name in self.columns}}

    def value(self, statistic: Statistic, items: int, plan: Resampling, otherwise: str) -> Value:
        """`statistic` of the pooled sums with its bootstrap interval; missing for the reason `otherwise`."""
        table = self.table()
        point = pooled(table, statistic)
        if not np.isfinite(point):
            return missing(otherwise)
        interval = bootstrap(table, statistic, plan.resamples, plan.seed)
        if interval is None:
            return Value(point, items)
        return Value(point, items, low=interval.low, high=interval.high)


def ratio(numerator: str, denominator: str) -> Statistic:
    """The statistic sum of one column over sum of another."""
    return lambda sums: sums[numerator] / sums[denominator]
