"""Two SAEs of one run, trained from two seeds: what each latent of the one finds in the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.stability.activity import Activity, correlation
from pipeline.metrics.stability.matching import assigned, cosines, rotated
from pipeline.sae.core.inference import SAE


@dataclass(frozen=True)
class Matched:
    """A one-to-one matching, seen from one SAE: per alive latent (A,), its partner and how alike they are.

    `partner`: a place among the other's alive latents, -1 for a latent left over, whose `value` is NaN.
    """

    partner: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, similar: np.ndarray) -> tuple[Matched, Matched]:
        """The matching of rows with columns of `similar` (A, B), seen from both sides."""
        partner = assigned(similar)
        back = np.full(similar.shape[1], -1, dtype=np.int64)
        back[partner[partner >= 0]] = np.flatnonzero(partner >= 0)
        return cls(partner, picked(similar, partner)), cls(back, picked(similar.T, back))

    def share(self, floor: float) -> np.ndarray:
        """(A,) bool: latents whose partner is alike by at least `floor`."""
        return np.nan_to_num(self.value, nan=-np.inf) >= floor


def picked(similar: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """(A,): the entry of each row of `similar` (A, B) in the column `partner`; NaN for -1."""
    if not similar.size:
        return np.full(len(similar), np.nan)
    return np.where(partner >= 0, similar[np.arange(len(similar)), partner], np.nan)


@dataclass(frozen=True)
class Side:
    """One SAE of a pair, all (A,) over its alive latents."""

    best: np.ndarray  # largest cosine with any alive latent of the other
    matched: Matched  # by cosine
    functional: Matched  # by the correlation of codes
    agreement: np.ndarray  # that correlation with the partner by cosine
    chance: Matched  # by cosine, with a rotated copy of the other
    chance_functional: Matched  # by correlation, with the other on permuted tokens


def pair(a: SAE, b: SAE, of_a: Activity, of_b: Activity, seed: int) -> tuple[Side, Side]:
    """Both sides of the pair; `seed` draws the rotation and the permutation of tokens."""
    similar = cosines(a, b, of_a.alive, of_b.alive)
    correlated = correlation(of_a, of_b)
    matched, functional = Matched.of(similar), Matched.of(correlated)
    chance = Matched.of(cosines(a, rotated(b, of_b.alive, seed), of_a.alive, of_b.alive))
    chance_functional = Matched.of(correlation(of_a, of_b.shuffled(seed)))
    both = [
        Side(_best(each), matched[i], functional[i], picked(codes, matched[i].partner), chance[i],
             chance_functional[i])
        for i, (each, codes) in enumerate(((similar, correlated), (similar.T, correlated.T)))
    ]  # fmt: skip
    return both[0], both[1]


def _best(similar: np.ndarray) -> np.ndarray:
    return similar.max(axis=1) if similar.shape[1] else np.full(len(similar), np.nan)
