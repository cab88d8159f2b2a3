"""How often each latent fires."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.common.resampling import share
from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number, all_missing, missing
from pipeline.sae.core.codes import Codes

EDGES = np.linspace(-7.0, 0.0, 29)
"""Edges of the histogram: log10 of the firing rate in quarter decades."""

HISTOGRAM_COLUMNS = {"log10_low": float, "log10_high": float, "latents": int}
LATENT_COLUMNS = {"latent": int, "fired": int, "density": float, "contexts": int, "tokens_per_context": float}


class Density:
    """On how many of the evaluated tokens, and in how many contexts, each of n latents fires."""

    def __init__(self, n: int) -> None:
        self.n, self.tokens = n, 0
        self.fired = torch.zeros(n, dtype=torch.int64)
        self.contexts = torch.zeros(n, dtype=torch.int64)

    def add(self, codes: Codes, context: Tensor) -> None:
        """Add the codes of B tokens of the contexts `context` (B,); a context lies whole in one call."""
        on = codes.value > 0
        latent = codes.pairs.latent[on]
        contexts, index = torch.unique(context.to(latent.device), return_inverse=True)
        seen = torch.zeros(len(contexts), self.n, dtype=torch.bool, device=latent.device)
        seen[index[codes.pairs.token[on]], latent] = True
        self.tokens += codes.pairs.batch
        self.fired += torch.bincount(latent, minlength=self.n).cpu()
        self.contexts += seen.sum(0).cpu()

    def rate(self) -> Tensor:
        """(n,) float64: the share of tokens on which each latent fires."""
        return self.fired.double() / max(self.tokens, 1)

    def values(self) -> dict[str, Number]:
        """Every metric of `METRICS`."""
        if not self.tokens:
            return all_missing([metric.name for metric in METRICS], "no valid token was evaluated")
        rate = self.rate()
        shares = {
            "silent_share": rate == 0,
            "frac_alive": rate > 0,
            "freq_over_1_percent": rate > 0.01,
            "freq_over_10_percent": rate > 0.1,
        }
        found = {name: share(int(which.sum()), self.n) for name, which in shares.items()}
        for name in ("freq_over_1_percent", "freq_over_10_percent"):
            found[f"normalized_{name}"] = self._normalized(shares[name])
        return found

    def _normalized(self, which: Tensor) -> Number:
        fired = int(self.fired.sum())
        if not fired:
            return missing("no latent ever fires")
        return Number(int(self.fired[which].sum()) / fired, fired)

    def histogram(self) -> Iterator[dict[str, Any]]:
        """Rows of the histogram: first the latents that never fire (log10 of 0), then quarter decades.

        A bin holds its lower edge, the last one both; rates below the lowest edge count in its bin.
        """
        log10 = np.log10(self.rate()[self.fired > 0].numpy())
        counts, _ = np.histogram(log10.clip(EDGES[0], EDGES[-1]), EDGES)
        lows, highs = [-math.inf, *EDGES[:-1]], [-math.inf, *EDGES[1:]]
        for low, high, count in zip(lows, highs, [int((self.fired == 0).sum()), *counts], strict=True):
            yield {"log10_low": float(low), "log10_high": float(high), "latents": int(count)}

    def latents(self) -> Iterator[dict[str, Any]]:
        """One row per latent: tokens and contexts in which it fires, and tokens per such context.

        `tokens_per_context` is SAEBench's consistent_activation_heuristic; empty where a latent never fires.
        """
        columns = (self.fired.tolist(), self.rate().tolist(), self.contexts.tolist())
        for latent, (fired, rate, contexts) in enumerate(zip(*columns, strict=True)):
            per_context = fired / contexts if contexts else None
            row = (latent, fired, rate, contexts, per_context)
            yield dict(zip(LATENT_COLUMNS, row, strict=True))


METRICS = [
    Definition(
        "silent_share", "lower", "share of latents", 1,
        "latents that fire on no evaluated token: dead or rare (what `dead_share` was up to version 1)",
    ),
    Definition(
        "frac_alive", "higher", "share of latents", 1, "1 - silent_share (SAEBench 0.6.0, core)", False
    ),
    Definition(
        "freq_over_1_percent", "lower", "share of latents", 1,
        "latents that fire on more than 1 % of tokens (SAEBench 0.6.0, core)", False,
    ),
    Definition(
        "freq_over_10_percent", "lower", "share of latents", 1,
        "latents that fire on more than 10 % of tokens (SAEBench 0.6.0, core)", False,
    ),
    Definition(
        "normalized_freq_over_1_percent", "neither", "share of activity", 1,
        "share of all activity that is of latents firing on more than 1 % of tokens (SAEBench 0.6.0, core)",
        False,
    ),
    Definition(
        "normalized_freq_over_10_percent", "neither", "share of activity", 1,
        "share of all activity that is of latents firing on more than 10 % of tokens (SAEBench 0.6.0, core)",
        False,
    ),
]  # fmt: skip
