"""How well, and with how few latents, an SAE gives back held-out activations.

One `Reconstruction` per SAE takes batches of valid tokens (the caller leaves special tokens out) and
keeps float64 sums only, one row per context. A batch is also the batch of SAEBench's batch-wise
formulas, whose values stand beside the right ones (`saebench`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.common.resampling import ItemSums, Resampling, ratio
from pipeline.metrics.reconstruction import density, saebench
from pipeline.metrics.reconstruction.density import Density
from pipeline.metrics.reconstruction.saebench import Batchwise
from pipeline.numbers.definition import Definition, Headline, Items
from pipeline.numbers.number import Number, all_missing
from pipeline.sae.core.codes import Codes
from pipeline.stats.intervals import Statistic, Sums

COLUMNS = (
    "tokens", "squared_error", "squared_deviation", "squared_norm",
    "cosine", "l0", "l1", "norm_in", "norm_out", "norm_ratio",
)  # fmt: skip
"""What is summed per context; squared quantities in squared model units."""

CONTEXTS = "contexts.tsv"
"""The table of the sums."""

ROUNDING = 1e-12
"""Below this share of the squared norm, variance is rounding: the activations are constant."""
CONSTANT = "the activations are constant"
"""Why there is no explained variance then."""


class Reconstruction:
    """Sums over the evaluated tokens of one SAE with n latents.

    `mean` (d,) float64 is the mean activation over all tokens that will be added, the centre of explained
    variance; `mean_activation` computes it.
    """

    def __init__(self, n: int, mean: Tensor) -> None:
        self.mean = mean.double()
        self.sums = ItemSums(COLUMNS)
        self.density = Density(n)
        self._batchwise = Batchwise(len(mean))

    def add(self, x: Tensor, reconstructed: Tensor, codes: Codes, context: Tensor) -> None:
        """Add one batch: `x` and its reconstruction (B, d), the codes of these B tokens, `context` (B,) ids.

        A context lies whole in one batch. No effect for B = 0.
        """
        if not len(x):
            return
        x, reconstructed = x.double(), reconstructed.double()
        self.sums.add(context, **_per_token(x, reconstructed, codes, self.mean.to(x.device)))
        self.density.add(codes, context)
        self._batchwise.add(x, reconstructed)

    def values(self, plan: Resampling) -> dict[str, Number]:
        """Every metric of `METRICS`; pooled means carry a bootstrap interval over contexts."""
        return self._means(plan) | self._batchwise.values() | self.density.values()

    def _means(self, plan: Resampling) -> dict[str, Number]:
        tokens, d = self.density.tokens, len(self.mean)
        if not tokens:
            return all_missing(MEANS, "no valid token was evaluated")
        statistics: dict[str, Statistic] = {
            "mse": lambda sums: sums["squared_error"] / (sums["tokens"] * d),
            "explained_variance": explained_variance,
            **{name: ratio(column, "tokens") for name, column in MEANS.items() if column},
        }
        values = {}
        for name, statistic in statistics.items():
            otherwise = CONSTANT if name == "explained_variance" else "it is not finite"
            values[name] = self.sums.number(statistic, tokens, plan, otherwise)
        return values


def mean_activation(batches: Iterable[Tensor], d: int) -> Tensor:
    """(d,) float64: the mean over all rows of all `batches` (B, d); zero when there is no row."""
    total, count = torch.zeros(d, dtype=torch.float64), 0
    for x in batches:
        total += x.double().sum(0).cpu()
        count += len(x)
    return total / max(count, 1)


def _per_token(x: Tensor, r: Tensor, codes: Codes, mean: Tensor) -> dict[str, Tensor]:
    """(B,) float64 per column of `COLUMNS`."""
    norm_in, norm_out = x.norm(dim=1), r.norm(dim=1)
    size, one = norm_in * norm_out, torch.ones_like(norm_in)
    return {
        "tokens": one,
        "squared_error": (x - r).square().sum(1),
        "squared_deviation": (x - mean).square().sum(1),
        "squared_norm": x.square().sum(1),
        "cosine": torch.where(size > 0, (x * r).sum(1) / torch.where(size > 0, size, one), 0.0),
        "l0": _summed(codes.pairs.token, codes.value != 0, len(x)),
        "l1": _summed(codes.pairs.token, codes.value, len(x)),
        "norm_in": norm_in,
        "norm_out": norm_out,
        # a vanishing |x| divides by 1, as SAEBench does
        "norm_ratio": norm_out / torch.where(norm_in < 1e-4, one, norm_in),
    }


def _summed(token: Tensor, value: Tensor, batch: int) -> Tensor:
    """(B,) float64: `value` (E,) added per token, on the CPU, where scattered additions have one order."""
    return torch.zeros(batch, dtype=torch.float64).index_add_(0, token.cpu(), value.double().cpu())


def explained_variance(sums: Sums) -> np.ndarray:
    """1 - `squared_error` / `squared_deviation`, NaN where `squared_norm` says that nothing varies."""
    varies = sums["squared_deviation"] > ROUNDING * sums["squared_norm"]
    return np.where(varies, 1 - sums["squared_error"] / sums["squared_deviation"], np.nan)


MEANS = {
    "mse": None,
    "explained_variance": None,
    "cosine": "cosine",
    "l0": "l0",
    "l1": "l1",
    "l2_norm_in": "norm_in",
    "l2_norm_out": "norm_out",
    "l2_ratio": "norm_ratio",
}
"""Metrics that are pooled over contexts: name to the column whose mean it is, None for other formulas."""

METRICS = [
    Definition("mse", "lower", "squared model units", 1, "mean over tokens of |x - r|^2 / d"),
    Definition(
        "explained_variance", "higher", "share", 1,
        "1 - sum |x - r|^2 / sum |x - mean|^2, the mean over all evaluated tokens",
        headline=Headline(
            "explained_variance", "explained variance", 10,
            items=Items(
                CONTEXTS, "context", "contexts", {"squared_error": 1}, {"squared_deviation": 1},
                complement=True,
            ),
        ),
    ),
    Definition(
        "cosine", "higher", "cosine", 1,
        "mean over tokens of cos(x, r), 0 where either is zero (SAEBench 0.6.0: cossim)",
    ),
    Definition(
        "l0", "neither", "latents", 1, "mean number of active latents per token (SAEBench 0.6.0)",
        headline=Headline("l0", "L0", 0, decimals=2),
    ),
    Definition("l1", "neither", "model units", 1, "mean over tokens of the summed codes (SAEBench 0.6.0)"),
    Definition("l2_norm_in", "neither", "model units", 1, "mean over tokens of |x| (SAEBench 0.6.0)", False),
    Definition("l2_norm_out", "neither", "model units", 1, "mean over tokens of |r| (SAEBench 0.6.0)", False),
    Definition(
        "l2_ratio", "neither", "ratio", 1,
        "mean over tokens of |r| / |x|; below 1 is shrinkage (SAEBench 0.6.0)",
    ),
    *saebench.METRICS,
    *density.METRICS,
]  # fmt: skip
"""What `Reconstruction.values` gives, in the order of the tables."""
