"""SAEs that learned nothing, or lost what they learned: what a score must beat.

The untrained one is `random_sae` (pipeline/metrics/absorption.py). Where a score uses the decoder, the
other control keeps an SAE's codes and permutes its decoder's rows: latents fire as they should
and write in directions that are another's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pipeline.metrics.behavior import NO_SCALE, STATISTICS, Clean, Contexts
from pipeline.metrics.record import Metric, Value, missing
from pipeline.metrics.tally import Resampling, Tally
from pipeline.sae.core.inference import SAE

RANDOM, SHUFFLED = "_random_sae", "_shuffled_decoder"
_RANDOM = "control: {} of an untrained TopK SAE of the same size at the same L0 (ours)"
_SHUFFLED = "control: {} with the decoder's rows permuted, codes unchanged (ours)"


def random_metric(name: str, unit: str) -> Metric:
    """The definition of metric `name` of the untrained SAE."""
    return Metric(f"{name}{RANDOM}", "neither", unit, 1, _RANDOM.format(name))


def shuffled_metric(name: str, unit: str) -> Metric:
    """The definition of metric `name` with the decoder's rows permuted."""
    return Metric(f"{name}{SHUFFLED}", "neither", unit, 1, _SHUFFLED.format(name))


def permuted(sae: SAE, seed: int) -> SAE:
    """`sae` with the rows of its decoder permuted; its encoder is unchanged."""
    order = torch.randperm(sae.n, generator=torch.Generator().manual_seed(seed))
    return replace(sae, W_dec=sae.W_dec[order.to(sae.W_dec.device)])


def moved(sae: SAE, device: torch.device) -> SAE:
    """The untrained `sae` on `device`."""
    held: dict[str, Any] = vars(sae)
    tensors: dict[str, Any] = {
        name: each.to(device) for name, each in held.items() if isinstance(each, Tensor)
    }
    return replace(sae, **tensors)


class Spliced:
    """The cross-entropy score of a control: one pass per batch, special tokens kept."""

    def __init__(self, sae: SAE) -> None:
        self.sae = sae
        self.tally = Tally(("ce_tokens", "ce_clean", "ce_zero", "ce_sae"))

    def add(self, clean: Clean, shared: dict[str, Tensor], batch: Contexts) -> None:
        """Add a batch, whose sums without an SAE are `shared`."""
        rows = batch.residual.reshape(-1, self.sae.d)
        sums = shared | clean.replaced(
            "sae", self.sae.reconstruct(rows).view_as(batch.residual), keep_special=True
        )
        self.tally.add(batch.index, **{name: sums[name] for name in self.tally.columns})

    def value(self, plan: Resampling) -> Value:
        """`ce_score` with its interval over contexts."""
        tokens = int(self.tally.total("ce_tokens"))
        if not tokens:
            return missing("no token to score was evaluated")
        return self.tally.value(STATISTICS["ce_score"], tokens, plan, NO_SCALE)
