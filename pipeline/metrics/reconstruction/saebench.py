"""SAEBench's batch-wise formulas, kept so that published values can be laid beside ours.

Three of the four depend on the batch they are computed over or on a slip in the formula; the right values
stand in measure.py under plain names. Source: sae-bench 0.6.0, sae_bench/evals/core/main.py,
`get_sparsity_and_variance_metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number, all_missing, missing


@dataclass(frozen=True)
class _Batch:
    """Sums over the N tokens of one batch."""

    tokens: int
    error: float  # |x - r|^2
    norm: float  # |x|^2
    norm_out: float  # |r|^2
    dot: float  # x.r
    explained: float  # 1 - |x - r|^2 / |x - batch mean|^2


class Batchwise:
    """The formulas over all batches added, each a set of valid tokens with d dimensions."""

    def __init__(self, d: int) -> None:
        self.d = d
        self._batches: list[_Batch] = []

    def add(self, x: Tensor, r: Tensor) -> None:
        """Add one batch: activations and reconstructions (B, d) float64, B >= 1."""
        error = (x - r).square().sum(1)
        deviation = (x - x.mean(0)).square().sum(1)
        sums = (error, x.square(), r.square(), x * r, 1 - error / deviation)
        self._batches.append(_Batch(len(x), *(float(values.sum()) for values in sums)))

    def values(self) -> dict[str, Number]:
        """Every metric of `METRICS`."""
        if not self._batches:
            return all_missing([metric.name for metric in METRICS], "no valid token was evaluated")
        batches, tokens = self._batches, sum(batch.tokens for batch in self._batches)
        second_moment = _mean(b.norm / b.tokens for b in batches)
        residual = _mean(b.error / b.tokens for b in batches)
        # |E x|^2 is meant, but the mean runs over squares: the square of E|x|^2 / d is subtracted
        variance = second_moment - (second_moment / self.d) ** 2
        results = {
            "mse_saebench": sum(b.error / b.tokens for b in batches) / tokens,
            "explained_variance_saebench": 1 - _divided(residual, variance),
            "explained_variance_legacy": sum(b.explained for b in batches) / tokens,
            "relative_reconstruction_bias": _mean(_divided(b.norm_out, b.dot) for b in batches),
        }
        return {name: _finite(value, tokens) for name, value in results.items()}


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _divided(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _finite(value: float, items: int) -> Number:
    known = math.isfinite(value)
    return Number(value, items) if known else missing("SAEBench's formula divides by zero here")


METRICS = [
    Definition(
        "mse_saebench", "lower", "squared model units", 1,
        "mean over tokens of |x - r|^2 / N, N the tokens of its batch of `batch_contexts` contexts "
        "(SAEBench 0.6.0: mse)",
    ),
    Definition(
        "explained_variance_saebench", "higher", "share", 1,
        "1 - E|x - r|^2 / (E|x|^2 - (E|x|^2 / d)^2) (SAEBench 0.6.0: explained_variance); its units do not "
        "match, so it is no share of variance", False,
    ),
    Definition(
        "explained_variance_legacy", "higher", "share", 1,
        "mean over tokens of 1 - |x - r|^2 / |x - batch mean|^2 (SAEBench); most published values",
    ),
    Definition(
        "relative_reconstruction_bias", "neither", "ratio", 1,
        "mean over batches of E|r|^2 / E[x.r], 1 is unbiased (2404.16014, equation 10; SAEBench)", False,
    ),
]  # fmt: skip
