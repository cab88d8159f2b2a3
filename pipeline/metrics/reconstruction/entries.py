"""Active (token, latent) entries in sorted order: how neighbouring tokens' codes are matched."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.sae.core.codes import Codes


@dataclass(frozen=True)
class Entries:
    """E active entries of a batch in the order of (token, latent), on the CPU.

    `token` and `latent` (E,) int64, `value` (E,) float64 above zero, `key` = token * n + latent.
    On the CPU because scattered additions have one order there, hence the same bits on every run.
    """

    token: Tensor
    latent: Tensor
    value: Tensor
    key: Tensor
    n: int

    @classmethod
    def of(cls, codes: Codes) -> Entries:
        """The entries of `codes` that are above zero, whatever the order of latents within a token."""
        n, keep = codes.pairs.n, codes.value > 0
        token, latent, value = (t[keep].cpu() for t in (codes.pairs.token, codes.pairs.latent, codes.value))
        key, order = torch.sort(token * n + latent)
        return cls(token[order], latent[order], value[order].double(), key, n)

    def matched(self, followed: Tensor) -> tuple[Tensor, Tensor]:
        """Per entry at t: whether its latent is on at t + 1, and the product of both values (0 if not).

        `followed` (B,) bool: whether row t + 1 counts as the successor of row t.
        """
        if not len(self.key):
            return self.key.bool(), self.value
        wanted = self.key + self.n
        found = torch.searchsorted(self.key, wanted).clamp_max(len(self.key) - 1)
        stays = (self.key[found] == wanted) & followed[self.token]
        return stays, torch.where(stays, self.value * self.value[found], 0.0)

    def by_token(self, weight: Tensor, batch: int) -> Tensor:
        """(B,) float64: `weight` (E,) summed over each token's entries."""
        return torch.zeros(batch, dtype=torch.float64).index_add_(0, self.token, weight.double())

    def count(self, which: Tensor) -> Tensor:
        """(n,) int64: the entries of each latent for which `which` (E,) is true."""
        return torch.bincount(self.latent[which], minlength=self.n)

    def grouped(self, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """(groups, n) sums of values and of their squares, `group` (B,) being each token's group."""
        key = group[self.token] * self.n + self.latent
        weights = (self.value, self.value.square())
        sums, squares = (
            torch.bincount(key, weights=weight, minlength=groups * self.n).view(groups, self.n)
            for weight in weights
        )
        return sums, squares
