"""Several language models: their seed as a random factor, as that of an SAE is.

A method is trained with S seeds on each of M models, all measured on the same items. An SAE seed means
nothing across models (its batches hold other activations), so seeds are nested in models:

    value = method + model + (method x model) + (method x seed within model) + items

The variance of the mean of the M models' means is their mean square over M: it holds all that varies between
models, and a share of what varies between seeds (Searle, Casella and McCulloch 1992, Variance Components,
chapter 3). So a model takes the place of a seed in variance.py, with its mean over its SAE seeds: M - 1
degrees of freedom of a method's own, and those of the others as there. More SAE seeds per model narrow an
interval only until the models' spread is all that is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.compare.paired.estimate import Estimate
from pipeline.compare.paired.variance import Table, Values
from pipeline.compare.paired.verdict import Judgement, judge
from pipeline.numbers.definition import Better


def over_models(values: np.ndarray, draws: np.ndarray | None = None, items: int = 0) -> Values:
    """One method's `values` (M, S) on M models with S SAE seeds each, M at least 2, as values by model.

    `draws`: (R, M, S), the same under each resample of the `items`, which are common to all models.
    """
    return Values(values.mean(1), None if draws is None else draws.mean(2), items)


@dataclass(frozen=True)
class Spread:
    """Standard deviations of one method's value, without what moves all methods of the table alike."""

    model: float  # between language models, beyond what their few SAE seeds explain
    seed: float  # between SAE seeds of one model


def spread(values: np.ndarray) -> Spread:
    """The variance components of `values` (K, M, S), K and M at least 2, by the analysis of variance.

    Pooled over the K methods; a negative component counts as 0. With one seed per model all is the model's.
    """
    k, m, s = values.shape
    means = values.mean(2)
    within = values - means[..., None]
    within = within - within.mean(0)
    between = means - means.mean(1, keepdims=True)
    between = between - between.mean(0)
    of_models = float(np.square(between).sum()) / ((k - 1) * (m - 1))
    of_seeds = float(np.square(within).sum()) / ((k - 1) * m * (s - 1)) if s > 1 else 0.0
    return Spread(max(of_models - of_seeds / s, 0.0) ** 0.5, of_seeds**0.5)


def compared(
    rows: Mapping[str, Values], pairs: Sequence[tuple[str, str]], better: Better, margin: float | None = None
) -> list[tuple[Estimate, Judgement]]:
    """Each of `pairs` of `rows` (first minus second) with its verdict; all of them are one family.

    Works for values by seed as for values by model. The noise is that of all `rows`, so give all that were
    measured, not only those that are compared.
    """
    table = Table.of(list(rows.values()))
    place = {label: i for i, label in enumerate(rows)}
    found = [table.difference(place[a], place[b]) for a, b in pairs]
    return list(zip(found, judge(found, [0.0] * len(found), better, margin), strict=True))
