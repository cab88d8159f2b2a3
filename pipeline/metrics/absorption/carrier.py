"""Who carries a missed letter: the rule of full absorption along random directions, word by word.

A word is *missed* when all main latents of its letter are silent although the linear probe sees the
letter. Another latent then often carries 40 % of the word's projection on the probe by geometry alone: few
latents are active, and each has some cosine with every direction. What a word gives along random
directions is that chance, and is taken off its verdict (ours).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.metrics.absorption.scoring import entries_of, fully
from pipeline.sae.core.codes import Codes
from pipeline.sae.core.inference import SAE

DRAWS = 32
"""Random directions per word, its own; a word's chance is then known to .09 or better."""

WORDS = 64
"""Words at a time: their directions are (WORDS, DRAWS, d)."""


def chance(sae: SAE, codes: Codes, x: Tensor, direction: Tensor, missed: Tensor, seed: int) -> Tensor:
    """(S,) float64: the share of a missed word's random directions that a latent carries; 0 for other words.

    `codes` of the S words `x` (S, d) on the CPU, `direction` (S, d) the unit probe of each word's letter,
    `missed` (S,) bool.
    """
    rows, centre = normalize(sae.W_dec.detach().cpu().double(), dim=-1), sae.b_dec.detach().cpu().double()
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(len(missed), dtype=torch.float64)
    for words in torch.nonzero(missed).flatten().split(WORDS):
        mine = x[words].double()
        # of each word its own: shared ones would not average out over words
        noise = torch.randn(len(words), DRAWS, sae.d, generator=generator, dtype=torch.float64)
        drawn = alike(direction[words], torch.stack([mine - centre, centre.expand_as(mine)], -1), noise)
        found[words] = _carried(entries_of(codes, words), rows, drawn, mine).double().mean(-1)
    return found


def alike(direction: Tensor, span: Tensor, noise: Tensor) -> Tensor:
    """(S, K, d) unit directions: those of `direction` (S, d, unit) with all but their part in `span` redrawn.

    Each has the projections of its `direction` on the columns of its `span` (S, d, 2), the rest of its
    length along `noise` (S, K, d). With the word and b_dec in the span, it has the probe's projection a, and
    as much of it is left to latents. Without them, a direction is carried the more often the smaller its a
    happens to be, and an untrained SAE lies far below chance (docs/absorption.md).
    """
    basis = torch.linalg.qr(span).Q
    inside = (basis @ (basis.mT @ direction[:, :, None]))[:, :, 0]
    rest = (direction - inside).norm(dim=-1)
    outside = noise - (noise @ basis) @ basis.mT
    return inside[:, None] + rest[:, None, None] * normalize(outside, dim=-1)


def _carried(codes: Codes, rows: Tensor, direction: Tensor, x: Tensor) -> Tensor:
    """(W, K) bool: whether one latent carries enough of each word of `x` (W, d) along each `direction`.

    `codes` of the W words, `rows` (n, d) unit decoder rows, `direction` (W, K, d) unit.
    """
    token, draws = codes.pairs.token, direction.shape[1]
    cosine = torch.einsum("ed,ekd->ek", rows[codes.pairs.latent], direction[token])
    item = token[:, None] * draws + torch.arange(draws)
    z = codes.value.double()[:, None].expand_as(cosine)
    projection = torch.einsum("wd,wkd->wk", x, direction)
    verdict = fully(item.flatten(), z.flatten(), cosine.flatten(), projection.flatten())
    return verdict.view(-1, draws)
