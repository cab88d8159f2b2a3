"""Headline scores from the items that evaluations list, so that items can be drawn again.

Every score with items is a mean over groups of a ratio of sums over items: one group for pooled
scores, letters for absorption, problems for probing. A word or text is one item however many SAEs,
letters or problems it serves, and is drawn with all of them. A definition says which columns of
which table these are (pipeline/numbers/definition.py: Items).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.numbers.definition import Items
from pipeline.stats.intervals import resampled

RESAMPLES, SEED = 1000, 0
"""1000 resamples estimate a variance to about 4 %."""


@dataclass(frozen=True)
class Sums:
    """N items in G groups: the score is mean over groups of sum(numerator) / sum(denominator).

    With `over` (N, 2) it is divided by the ratio of the sums of its columns.
    """

    names: tuple[Any, ...]  # what the items are, in order: the same for all SAEs that are compared
    numerator: np.ndarray  # (N, G)
    denominator: np.ndarray  # (N, G)
    weight: np.ndarray  # (G,)
    complement: bool = False  # the score is 1 minus that
    over: np.ndarray | None = None

    @classmethod
    def of(cls, rows: pd.DataFrame, items: Items) -> Sums:
        """One SAE's `rows` of the table `items.table`. Raises KeyError for a column that it lacks."""
        names = rows[items.item].unique()
        if pd.api.types.is_numeric_dtype(rows[items.item]):
            names = np.sort(names)
        within = rows if items.where is None else rows[rows[items.where] != 0]
        which = list(within[list(items.groups)].itertuples(index=False, name=None))
        groups = sorted(set(which), key=str)
        sets = Counter(group[:1] for group in groups)
        place = {group: i for i, group in enumerate(groups)}
        index = pd.Index(names).get_indexer(within[items.item]), [place[group] for group in which]
        above, below = (_summed(within, each, index, (len(names), len(groups)))
                        for each in (items.numerator, items.denominator))  # fmt: skip
        weight = np.array([1 / sets[group[:1]] for group in groups])
        return cls(tuple(names.tolist()), above, below, weight, items.complement, _over(rows, items, names))

    def value(self) -> float:
        """The score over all items; NaN where it is not defined."""
        return float(self._score(self._table().sum(0, keepdims=True))[0])

    def draws(self) -> np.ndarray:
        """(RESAMPLES,): the score when items are drawn with replacement, the same for equal N."""
        return self._score(resampled(self._table(), RESAMPLES, SEED))

    def _table(self) -> np.ndarray:
        parts = [self.numerator, self.denominator, *([] if self.over is None else [self.over])]
        return np.concatenate(parts, axis=1)

    def _score(self, sums: np.ndarray) -> np.ndarray:
        groups = len(self.weight)
        above, below, over = np.split(sums, [groups, 2 * groups], axis=1)
        known = below != 0  # a group that a resample misses is left out of it
        ratio = np.divide(above, below, out=np.zeros_like(above), where=known)
        weight = self.weight * known
        with np.errstate(invalid="ignore", divide="ignore"):
            score = (weight * ratio).sum(1) / weight.sum(1)
            if self.over is not None:
                score = score / (over[:, 0] / over[:, 1])
        return 1 - score if self.complement else score


def _over(rows: pd.DataFrame, items: Items, names: Any) -> np.ndarray | None:
    """(N, 2): what the score is divided by, if anything."""
    if not items.over_numerator:
        return None
    index = pd.Index(names).get_indexer(rows[items.item]), [0] * len(rows)
    parts = (items.over_numerator, items.over_denominator)
    return np.concatenate([_summed(rows, each, index, (len(names), 1)) for each in parts], axis=1)


def _summed(
    rows: pd.DataFrame, factors: Mapping[str, float], index: Any, shape: tuple[int, int]
) -> np.ndarray:
    """(N, G): the sum of the columns times their `factors`; without columns, the number of rows."""
    columns = [factor * rows[name].to_numpy(np.float64) for name, factor in factors.items()]
    summed = np.zeros(shape)
    np.add.at(summed, index, np.sum(columns, axis=0) if columns else 1.0)
    return summed
