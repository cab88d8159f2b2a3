"""How often latents fire in a window of training text: which are dead, which are dense.

A latent that is silent in the test split may only be rare; whether it died is asked of the text that it was
trained on, of which there is more. SAEs trained elsewhere are asked the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.metrics.common.resampling import share
from pipeline.numbers.definition import Definition, Headline
from pipeline.numbers.number import Number, all_missing
from pipeline.sae.core.codes import Codes

DENSE = 0.3
"""A latent that is on for more than this share of tokens is dense: it tells little apart."""


class TrainingWindow:
    """On how many tokens of the window each of n latents fires."""

    def __init__(self, n: int) -> None:
        self.tokens, self.fired = 0, torch.zeros(n, dtype=torch.int64)

    def add(self, codes: Codes) -> None:
        """Add the codes of some tokens."""
        self.tokens += codes.pairs.batch
        self.fired += torch.bincount(codes.pairs.latent[codes.value > 0], minlength=len(self.fired)).cpu()

    @property
    def dense(self) -> Tensor:
        """(n,) bool: the latents that are on for more than `DENSE` of the tokens."""
        return self.fired > DENSE * self.tokens

    def values(self) -> dict[str, Number]:
        """Every metric of `METRICS`."""
        if not self.tokens:
            return all_missing([each.name for each in METRICS], "the training window has no valid token")
        n = len(self.fired)
        dead, dense = (share(int(which.sum()), n) for which in (self.fired == 0, self.dense))
        return {"dead_share": dead, "dense_share": dense}


METRICS = [
    Definition(
        "dead_share", "lower", "share of latents", 2,
        "latents that fire on none of `dead_tokens` tokens of the train split, evenly spread over it (ours)",
        headline=Headline("dead", "dead share", 30),
    ),
    Definition(
        "dense_share", "neither", "share of latents", 1,
        f"latents on for more than {DENSE:.0%} of the same tokens (ours)",
    ),
]  # fmt: skip
