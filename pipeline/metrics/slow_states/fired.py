"""All latents against all values of a state at once, from sparse codes sorted once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.sae.core.codes import Codes


@dataclass(frozen=True)
class Fired:
    """The E active entries of N tokens and n latents, sorted by latent, then by value."""

    token: np.ndarray
    latent: np.ndarray
    value: np.ndarray
    offsets: np.ndarray  # (n + 1,): where each latent's entries begin
    tokens: int

    @classmethod
    def of(cls, blocks: Iterable[Codes], n: int) -> Fired:
        """From the codes of blocks of tokens, in order; entries of zero are none."""
        parts, tokens = [], 0
        for codes in blocks:
            on = codes.value > 0
            where = (
                codes.pairs.token[on].cpu() + tokens,
                codes.pairs.latent[on].cpu(),
                codes.value[on].cpu(),
            )
            parts.append([each.numpy() for each in where])
            tokens += codes.pairs.batch
        token, latent, value = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.lexsort((value, latent))
        offsets = np.concatenate([[0], np.bincount(latent, minlength=n).cumsum()])
        return cls(token[order], latent[order], value[order], offsets, tokens)

    @property
    def n(self) -> int:
        """The number of latents."""
        return len(self.offsets) - 1

    def column(self, latent: int) -> np.ndarray:
        """(N,) float64: one latent's code of every token."""
        found, own = np.zeros(self.tokens), slice(*self.offsets[latent : latent + 2])
        found[self.token[own]] = self.value[own]
        return found

    def counts(self, which: np.ndarray, label: np.ndarray, values: int) -> np.ndarray:
        """(n, values): tokens of `which` (N,) bool with each label at which a latent is on."""
        kept = which[self.token]
        cell = self.latent[kept] * values + label[self.token[kept]]
        return np.bincount(cell, minlength=self.n * values).reshape(self.n, values)

    def aucs(self, which: np.ndarray, label: np.ndarray, values: int) -> np.ndarray:
        """(n, values): the area under the ROC curve of every latent for every label against the others.

        Over the tokens of `which` (N,) bool, whose `label` is 0 to `values` - 1. Mann and Whitney's statistic
        from mean ranks: inactive tokens share one rank. NaN for a label that none or all tokens have.
        """
        kept = which[self.token]
        token, latent, value = self.token[kept], self.latent[kept], self.value[kept]
        active = np.bincount(latent, minlength=self.n)
        silent = which.sum() - active
        begin = np.concatenate([[0], active.cumsum()[:-1]])
        rank = silent[latent] + _mean_place(latent, value) - begin[latent] + 1
        cell = latent * values + label[token]
        size = (self.n, values)
        among = np.bincount(cell, minlength=self.n * values).reshape(size)
        ranks = np.bincount(cell, rank, self.n * values).reshape(size)
        positive = np.bincount(label[which], minlength=values)
        ranks = ranks + (positive - among) * ((silent + 1) / 2)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (ranks - positive * (positive + 1) / 2) / (positive * (which.sum() - positive))


def _mean_place(latent: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(E,): the place of each sorted entry, from 0; equal values of a latent share their mean place."""
    new = np.ones(len(latent), dtype=bool)
    new[1:] = (np.diff(latent) != 0) | (np.diff(value) != 0)
    group, first = np.cumsum(new) - 1, np.flatnonzero(new)
    last = np.append(first[1:], len(latent)) - 1
    return ((first + last) / 2)[group]
