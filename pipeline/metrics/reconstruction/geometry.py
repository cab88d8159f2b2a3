"""How much alike an SAE's latents are, from its weights alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number, all_missing
from pipeline.sae.core.inference import SAE

ROWS = 1024
"""Latents compared with all others at a time."""


def values(sae: SAE) -> dict[str, Number]:
    """Every metric of `METRICS`."""
    if sae.n < 2:
        return all_missing([each.name for each in METRICS], "one latent has no other to be compared with")
    sides = {"average_max_encoder_cosine_sim": sae.W_enc.T, "average_max_decoder_cosine_sim": sae.W_dec}
    return {name: Number(float(largest_cosines(rows).double().mean()), sae.n) for name, rows in sides.items()}


def largest_cosines(rows: Tensor) -> Tensor:
    """(n,): each row's largest cosine to another of `rows` (n, d), n >= 2; a zero row has cosine 0."""
    unit = normalize(rows, dim=1)
    found = []
    for start in range(0, len(unit), ROWS):
        cosine = unit[start : start + ROWS] @ unit.T
        cosine.diagonal(start).fill_(-torch.inf)
        found.append(cosine.amax(1))
    return torch.cat(found).cpu()


METRICS = [
    Definition(
        "average_max_encoder_cosine_sim", "neither", "cosine", 1,
        "mean over latents of the largest cosine to another latent's encoder column (SAEBench 0.6.0, core)",
        False,
    ),
    Definition(
        "average_max_decoder_cosine_sim", "lower", "cosine", 1,
        "mean over latents of the largest cosine to another latent's decoder row (SAEBench 0.6.0, core)",
        False,
    ),
]  # fmt: skip
