"""Sparse codes: the active (token, latent) pairs of a batch, in CSR order.

After the encoder's one dense matmul nothing is dense: decoding, both weight gradients, L0, firing
statistics and every evaluation read this type. With L0 of 4 to 200 out of thousands of latents it
holds 10 to 1000 times fewer numbers than the dense codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """Which (token, latent) pairs are active in a batch of B tokens and n latents, E pairs in all.

    `latent` (E,) int64, grouped by token; `offsets` (B + 1,) int64: token b owns the entries
    `offsets[b]:offsets[b + 1]`.
    """

    latent: Tensor
    offsets: Tensor
    n: int

    @classmethod
    def where(cls, active: Tensor) -> Pairs:
        """The true entries of `active` (B, n) bool, tokens in order, latents ascending."""
        batch, n = active.shape
        if active.device.type == "cpu":
            # NumPy finds them two to four times faster than torch's two passes
            return cls.flat_ids(torch.from_numpy(np.flatnonzero(active.numpy())), batch, n)
        token, latent = active.nonzero(as_tuple=True)
        return cls.of(token, latent, batch, n)

    @classmethod
    def flat_ids(cls, flat: Tensor, batch: int, n: int) -> Pairs:
        """From ascending ids token * n + latent, (E,)."""
        token = flat // n
        pairs = cls.of(token, flat - token * n, batch, n)
        pairs.__dict__["flat"] = flat
        return pairs

    @classmethod
    def of(cls, token: Tensor, latent: Tensor, batch: int, n: int) -> Pairs:
        """From flat ids; `token` (E,) must be ascending."""
        offsets = torch.zeros(batch + 1, dtype=torch.int64, device=latent.device)
        torch.cumsum(torch.bincount(token, minlength=batch), 0, out=offsets[1:])
        pairs = cls(latent, offsets, n)
        pairs.__dict__["token"] = token
        return pairs

    @classmethod
    def rows(cls, latent: Tensor, n: int) -> Pairs:
        """From `latent` (B, k): the same number k of pairs for each token."""
        batch, k = latent.shape
        offsets = (
            torch.arange(0, batch * k + 1, k, device=latent.device) if k else latent.new_zeros(batch + 1)
        )
        return cls(latent.reshape(-1), offsets, n)

    def __len__(self) -> int:
        return self.latent.numel()

    @property
    def batch(self) -> int:
        """B, the number of tokens."""
        return self.offsets.numel() - 1

    @property
    def density(self) -> float:
        """The share of all (token, latent) pairs that are active."""
        return len(self) / max(self.batch * self.n, 1)

    @cached_property
    def token(self) -> Tensor:
        """(E,) int64: the token of each entry."""
        return torch.repeat_interleave(
            torch.arange(self.batch, device=self.latent.device), self.offsets.diff(), output_size=len(self)
        )

    @cached_property
    def flat(self) -> Tensor:
        """(E,) int64: token * n + latent."""
        return self.token * self.n + self.latent

    @cached_property
    def by_latent(self) -> tuple[Tensor, Tensor]:
        """The transposed order: `order` (E,), entries sorted by latent (stable), and `offsets` (n + 1,)."""
        order = _stable_argsort(self.latent, self.n)
        offsets = torch.zeros(self.n + 1, dtype=torch.int64, device=self.latent.device)
        torch.cumsum(torch.bincount(self.latent, minlength=self.n), 0, out=offsets[1:])
        return order, offsets

    def keep(self, which: Tensor) -> Pairs:
        """The entries for which `which` (E,) is true."""
        place = which.nonzero().squeeze(1)
        token, latent = self.token.index_select(0, place), self.latent.index_select(0, place)
        return Pairs.of(token, latent, self.batch, self.n)

    def at(self, dense: Tensor) -> Tensor:
        """(E,): the entries of `dense` (B, n) at these pairs.

        One flat index: 0.2 ms where two indices take 4.4 (B 2048, n 4096, L0 48).
        """
        return dense.reshape(-1).index_select(0, self.flat)

    def sum_by_latent(self, value: Tensor) -> Tensor:
        """(n,): `value` (E,) summed over the tokens of each latent."""
        return torch.zeros(self.n, dtype=value.dtype, device=value.device).index_add_(0, self.latent, value)

    def sum_by_token(self, value: Tensor) -> Tensor:
        """(B,): `value` (E,) summed over the latents of each token."""
        return torch.zeros(self.batch, dtype=value.dtype, device=value.device).index_add_(
            0, self.token, value
        )

    def dense(self, value: Tensor) -> Tensor:
        """(B, n): `value` (E,) at these pairs, zero elsewhere; differentiable in `value`.

        One flat index: 0.04 ms where two take 1.0 (B 256, n 1024, a sixth active).
        """
        return value.new_zeros(self.batch * self.n).scatter_(0, self.flat, value).view(self.batch, self.n)


def _stable_argsort(latent: Tensor, n: int) -> Tensor:
    """Order of `latent` (E,) by value, ties in their own order; on the CPU NumPy's radix sort of 16 bits.

    0.4 instead of 1.3 ms at 98 thousand entries; the order of a stable sort is unique.
    """
    if latent.device.type == "cpu" and n <= 2**16:
        return torch.from_numpy(np.argsort(latent.numpy().astype(np.uint16), kind="stable"))
    return torch.argsort(latent, stable=True)


@dataclass(frozen=True)
class Codes:
    """Pairs with their activations `value` (E,), zero or above."""

    pairs: Pairs
    value: Tensor

    def dense(self) -> Tensor:
        """(B, n) codes, zero where inactive."""
        return self.pairs.dense(self.value)

    def l0(self) -> float:
        """Mean number of latents above zero per token."""
        return float((self.value > 0).sum()) / max(self.pairs.batch, 1)
