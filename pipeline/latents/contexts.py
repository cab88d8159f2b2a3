"""In which contexts one latent fires most strongly."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.sae.core.codes import Codes


class Peaks:
    """The `count` contexts of highest activation of one latent, the strongest first."""

    def __init__(self, latent: int, count: int) -> None:
        self.latent, self.count = latent, count
        self.context = torch.zeros(0, dtype=torch.int64)
        self.value = torch.zeros(0)

    def add(self, codes: Codes, context: Tensor) -> None:
        """Add the codes of B tokens of the contexts `context` (B,); a context lies whole in one call."""
        own = (codes.pairs.latent == self.latent) & (codes.value > 0)
        contexts, where = torch.unique(context.cpu()[codes.pairs.token[own].cpu()], return_inverse=True)
        value = codes.value[own].float().cpu()
        highest = torch.zeros(len(contexts)).scatter_reduce_(0, where, value, "amax")
        self.context = torch.cat([self.context, contexts])
        self.value = torch.cat([self.value, highest])
        # stable: of two equal ones the earlier context stays
        order = self.value.argsort(descending=True, stable=True)[: self.count]
        self.context, self.value = self.context[order], self.value[order]
