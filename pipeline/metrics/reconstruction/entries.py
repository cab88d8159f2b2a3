"""Active (token, latent) entries in sorted order: how neighbouring tokens' codes are matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pipeline.sae.core.codes import Codes


@dataclass(frozen=True)
class Entries:
    """E active entries of a batch in the order of (token, latent), on the CPU.

    `key` (E,) int64, token * n + latent; `value` (E,) float64 above zero.
    On the CPU because scattered additions have one order there, hence the same bits on every run.
    """

    key: Tensor
    value: Tensor
    n: int

    @classmethod
    def of(cls, codes: Codes) -> Entries:
        """The entries of `codes` that are above zero, whatever the order of latents within a token."""
        n, keep = codes.pairs.n, codes.value > 0
        token, latent, value = (t[keep].cpu() for t in (codes.pairs.token, codes.pairs.latent, codes.value))
        return cls._sorted(token * n + latent, value.double(), n)

    @classmethod
    def _sorted(cls, key: Tensor, value: Tensor, n: int) -> Entries:
        key, order = torch.sort(key)
        return cls(key, value[order], n)

    @cached_property
    def token(self) -> Tensor:
        """(E,) int64: the token of each entry."""
        return self.key // self.n

    @cached_property
    def latent(self) -> Tensor:
        """(E,) int64: the latent of each entry."""
        return self.key - self.token * self.n

    def matched(self, followed: Tensor) -> tuple[Tensor, Tensor]:
        """Per entry at t: whether its latent is on at t + 1, and which entry that is (any one if not).

        `followed` (B,) bool: whether row t + 1 counts as the successor of row t.
        """
        if not len(self.key):
            return self.key.bool(), self.key
        wanted = self.key + self.n
        found = torch.searchsorted(self.key, wanted).clamp_max(len(self.key) - 1)
        return (self.key[found] == wanted) & followed[self.token], found

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


def permuted(held: Sequence[Entries], sizes: Sequence[int], order: Tensor) -> Iterator[Entries]:
    """The entries `held` of blocks of `sizes` tokens, with all tokens in another order.

    `order` (N,): the token that comes to each place, counted through all blocks. Codes are moved, not
    computed again: the control is the same codes in random order, whatever the encoder reads.
    """
    if not held:
        return
    n, place = held[0].n, torch.empty_like(order)
    place[order] = torch.arange(len(order))
    starts = torch.tensor([0, *sizes]).cumsum(0)
    moved = [place[each.token + start] * n + each.latent for each, start in zip(held, starts, strict=False)]
    every = Entries._sorted(torch.cat(moved), torch.cat([each.value for each in held]), n)
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        first, last = torch.searchsorted(every.key, torch.tensor([start * n, stop * n])).tolist()
        yield Entries(every.key[first:last] - start * n, every.value[first:last], n)
