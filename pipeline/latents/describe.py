"""One latent as a record of numbers and word indices: JSON for the page, lines for the terminal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.latents.activations import LatentActivations
from pipeline.latents.words import Words
from pipeline.sae.core.inference import SAE

CONTEXTS, AROUND, BINS, TOKENS, NEIGHBOURS = 5, 10, 16, 8, 5
"""Per latent: top contexts, tokens on either side of their peak, histogram bins, tokens promoted and as many
suppressed, decoder neighbours."""

SHADES = 99
"""Activations are whole numbers from 0 to this, the latent's own maximum."""


def describe(
    sae: SAE,
    observed: LatentActivations,
    place: int,
    logits: Tensor,
    words: Words,
    text: Tensor,
    contexts: int = CONTEXTS,
) -> dict[str, Any]:
    """Everything shown of latent `place` of `observed`.

    `logits` (V,) from the lens; `text` (L,) int64 are the places of the shared text's tokens in the split.
    """
    latent, own = observed.latents[place], observed.activations[:, :, place]
    peak = float(own.max())
    positive = own[own > 0]
    return {
        "latent": latent,
        "peak": _short(peak),
        "density": _short(len(positive) / max(int(observed.valid.sum()), 1)),
        "flicker": _short(observed.flicker(place)),
        "histogram": torch.histc(positive, BINS, 0.0, peak).int().tolist() if len(positive) else [0] * BINS,
        "contexts": [_context(observed, own, int(each), peak, words) for each in _strongest(own, contexts)],
        "promoted": _tokens(logits, words),
        "suppressed": _tokens(-logits, words, sign=-1.0),
        "neighbours": _neighbours(sae, latent),
        "text": _shades(own.reshape(-1)[text], peak),
    }


def _strongest(own: Tensor, count: int) -> Tensor:
    highest = own.amax(dim=1)
    order = highest.argsort(descending=True, stable=True)[:count]
    return order[highest[order] > 0]


def _context(
    observed: LatentActivations, own: Tensor, context: int, peak: float, words: Words
) -> dict[str, Any]:
    line = own[context]
    top = int(line.argmax())
    span = slice(max(top - AROUND, 0), top + AROUND + 1)
    return {
        "at": top - span.start,
        "value": _short(float(line[top])),
        "words": [words.number(int(token)) for token in observed.tokens[context, span]],
        "shades": _shades(line[span], peak),
    }


def _shades(values: Tensor, peak: float) -> list[int]:
    """0 where silent, 1 to `SHADES` where it fires."""
    if peak == 0:
        return [0] * len(values)
    return torch.where(values > 0, (values / peak * SHADES).round().clamp(min=1), 0.0).int().tolist()


def _tokens(logits: Tensor, words: Words, sign: float = 1.0) -> list[list[Any]]:
    value, token = logits.topk(min(TOKENS, len(logits)))
    return [
        [words.number(int(each)), _short(sign * float(logit))]
        for each, logit in zip(token, value, strict=True)
    ]


def _neighbours(sae: SAE, latent: int) -> list[list[Any]]:
    """The decoder rows of highest cosine with this one's."""
    rows = normalize(sae.W_dec.float(), dim=1)
    cosine = rows @ rows[latent]
    cosine[latent] = -2.0
    value, other = cosine.topk(min(NEIGHBOURS, sae.n - 1))
    return [[int(each), _short(float(near))] for each, near in zip(other, value, strict=True)]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
