"""The projection rule of absorption, word by word: SAEBench 0.6.0's, without a loop over words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.sae.core.codes import Codes, Pairs

SILENT = 1e-8
"""SAEBench: a main latent below this counts as silent."""

FULL_COSINE, FRACTION_COSINE, PROPORTION, ABSORBERS = 0.025, 0.1, 0.4, 3
"""SAEBench 0.6.0's thresholds: cosine to the probe for full absorption and for the fraction, share of the
word's projection that absorbers must carry, and how many absorbers may share it."""


@dataclass(frozen=True)
class Scores:
    """Absorption of S words."""

    fraction: Tensor  # (S,) float64 in [0, 1]
    full: Tensor  # (S,) bool
    projection: Tensor  # (S,) the word's projection on its letter's unit direction
    main_projection: Tensor  # (S,) what the main latents carry of it
    main_silent: Tensor  # (S,) bool
    top_latent: Tensor  # (S,) int64: the latent that carries most; -1 when none is active


def score(codes: Codes, cosine: Tensor, main: Tensor, problem: Tensor, projection: Tensor) -> Scores:
    """Absorption per word, SAEBench 0.6.0 (`feature_absorption_calculator.py`), without a loop over words.

    `codes` of S words; `cosine` (P, n) of every decoder row to each problem's direction; `main` (P, n)
    bool; `problem` (S,) int64; `projection` a (S,) float64. With P_i = z_i c_i, M the main latents' sum
    and T the sum of the three largest P_i > 0 of the others with c_i >= 0.1:
    fraction 0 if M >= a or T/a < 0.4, else 1 if M <= 0, else A / (A + M) with A = min(T, a - M).
    Full absorption: every main latent silent, and the latent with the largest P of all has c >= 0.025 and
    P/a >= 0.4. A projection of zero or below counts as neither.
    """
    token, latent, z = codes.pairs.token, codes.pairs.latent, codes.value.double()
    c, is_main = cosine[problem[token], latent], main[problem[token], latent]
    p, words = z * c, codes.pairs.batch

    def total(which: Tensor) -> Tensor:
        return torch.zeros(words, dtype=torch.float64).index_add_(0, token[which], p[which])

    carried = total(is_main)
    others = torch.nonzero(~is_main & (c >= FRACTION_COSINE) & (p > 0)).flatten()
    absorbers = total(others[ranks(token[others], p[others], words) < ABSORBERS])
    safe = torch.where(projection > 0, projection, 1.0)
    none = (projection <= 0) | (carried >= projection) | (absorbers / safe < PROPORTION)
    taken = torch.minimum(absorbers, projection - carried)
    partly = (taken / torch.where(carried > 0, taken + carried, 1.0)).clamp(0, 1)
    fraction = torch.where(none, 0.0, torch.where(carried <= 0, 1.0, partly))

    first = ranks(token, p, words) == 0
    top_latent = torch.full((words,), -1).index_copy_(0, token[first], latent[first])
    heard = torch.zeros(words, dtype=torch.int64).index_add_(0, token, (is_main & (z >= SILENT)).long())
    silent = heard == 0
    full = silent & fully(token, z, c, projection)
    return Scores(fraction, full, projection, carried, silent, top_latent)


def fully(token: Tensor, z: Tensor, cosine: Tensor, projection: Tensor) -> Tensor:
    """(S,) bool: whether one latent carries a word: the latent with the largest P has c >= 0.025, P/a >= 0.4.

    `token`, `z` and `cosine` (E,): the active entries of S words; `projection` a (S,). SAEBench's rule of
    full absorption without its condition on the main latents; False where a <= 0.
    """
    p = z * cosine
    first = ranks(token, p, len(projection)) == 0
    top_p, top_c = (
        torch.zeros(len(projection), dtype=torch.float64).index_copy_(0, token[first], values[first])
        for values in (p, cosine)
    )
    safe = torch.where(projection > 0, projection, 1.0)
    return (top_c >= FULL_COSINE) & (projection > 0) & (top_p / safe >= PROPORTION)


def ranks(group: Tensor, value: Tensor, groups: int) -> Tensor:
    """(E,): the place of each entry among those of its `group` (E,), largest `value` first, from 0."""
    by_value = torch.argsort(value, descending=True, stable=True)
    order = by_value[torch.argsort(group[by_value], stable=True)]
    starts = torch.zeros(groups, dtype=torch.int64)
    starts[1:] = torch.bincount(group, minlength=groups).cumsum(0)[:-1]
    rank = torch.empty_like(group)
    rank[order] = torch.arange(len(group)) - starts[group[order]]
    return rank


def entries_of(codes: Codes, rows: Tensor) -> Codes:
    """The codes of `rows` (S,) ascending, renumbered 0 to S - 1."""
    place = torch.full((codes.pairs.batch,), -1)
    place[rows] = torch.arange(len(rows))
    kept = place[codes.pairs.token] >= 0
    token = place[codes.pairs.token[kept]]
    pairs = Pairs.of(token, codes.pairs.latent[kept], len(rows), codes.pairs.n)
    return Codes(pairs, codes.value[kept])
