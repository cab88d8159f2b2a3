"""Nested dictionaries: what the first latents of a dictionary reconstruct without the others (2503.17547)."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.variant import Step


def prefix_errors(step: Step, value: Tensor, pairs: Pairs, sizes: list[int]) -> Tensor:
    """(B, G, d) residuals x - x^_g, where x^_g decodes the latents below `sizes[g]` alone and b_dec.

    `sizes` ascend and end with n; `value` (E,) are the codes at `pairs`. One decode serves all prefixes.
    """
    parts = step.decode(value, _by_group(pairs, sizes)).view(len(step.x), len(sizes), -1)
    return (step.x - step.weights["b_dec"])[:, None] - parts.cumsum(1)


def _by_group(pairs: Pairs, sizes: list[int]) -> Pairs:
    """The same entries as (token, group) rows: token b's group g, between two sizes, is row b G + g.

    Latents ascend within a token, so that the order of the entries stays.
    """
    bounds = torch.tensor(sizes, device=pairs.latent.device)
    group = torch.searchsorted(bounds, pairs.latent, right=True)
    return Pairs.of(pairs.token * len(sizes) + group, pairs.latent, pairs.batch * len(sizes), pairs.n)
