"""What the latents of an SAE do on the test tokens: who fires, and how alike two SAEs' codes are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pipeline.sae.core.inference import SAE
from pipeline.store import Batch


@dataclass(frozen=True)
class Activity:
    """The codes of T tokens: E entries above zero, `token`, `latent` (E,) int64 and `value` (E,) float64."""

    token: np.ndarray
    latent: np.ndarray
    value: np.ndarray
    tokens: int
    n: int

    @cached_property
    def fired(self) -> np.ndarray:
        """(n,) int64: tokens on which each latent fires."""
        return np.bincount(self.latent, minlength=self.n)

    @cached_property
    def alive(self) -> np.ndarray:
        """(A,) ascending: the latents that fire on at least one of the tokens."""
        return np.flatnonzero(self.fired)

    def shuffled(self, seed: int) -> Activity:
        """The same codes on permuted tokens: what latents that fire as often correlate by chance."""
        order = np.random.default_rng(seed).permutation(self.tokens)
        return replace(self, token=order[self.token])

    def matrix(self):  # type: ignore[no-untyped-def]
        """(T, A): the codes of the alive latents, sparse by column."""
        from scipy.sparse import csc_array

        place = np.zeros(self.n, dtype=np.int64)
        place[self.alive] = np.arange(len(self.alive))
        shape = self.tokens, len(self.alive)
        return csc_array((self.value, (self.token, place[self.latent])), shape=shape)


def activity(sae: SAE, blocks: Iterable[Batch]) -> Activity:
    """What `sae` does on the rows of all `blocks` of whole contexts, at least one."""
    token, latent, value, tokens = [], [], [], 0
    for block in blocks:
        codes = sae.encode(block.x, block.past)
        on = codes.value > 0
        token.append((codes.pairs.token[on] + tokens).cpu())
        latent.append(codes.pairs.latent[on].cpu())
        value.append(codes.value[on].double().cpu())
        tokens += len(block.x)
    return Activity(_joined(token), _joined(latent), _joined(value), tokens, sae.n)


def _joined(parts: list[Tensor]) -> np.ndarray:
    joined: np.ndarray = torch.cat(parts).numpy()
    return joined


def correlation(a: Activity, b: Activity) -> np.ndarray:
    """(A, B): Pearson's correlation over tokens of each alive latent of `a` with each of `b`.

    Counted from the entries alone: sum of products, sums and sums of squares. A latent whose code never
    changes has correlation 0.
    """
    left, right, tokens = a.matrix(), b.matrix(), a.tokens
    product = (left.T @ right).toarray()
    sums = [np.asarray(each.sum(axis=0)).ravel() for each in (left, right)]
    squares = [np.asarray(each.power(2).sum(axis=0)).ravel() for each in (left, right)]
    spread = [np.sqrt(np.maximum(q - s * s / tokens, 0)) for s, q in zip(sums, squares, strict=True)]
    covariance = product - np.outer(*sums) / tokens
    scale = np.outer(*spread)
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
