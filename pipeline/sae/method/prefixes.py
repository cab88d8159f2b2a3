"""Nested dictionaries: what the first latents of a dictionary reconstruct without the others (2503.17547)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pipeline.sae.core.codes import Pairs
from pipeline.sae.method.variant import Step


def prefix_errors(step: Step, value: Tensor, pairs: Pairs, sizes: list[int]) -> Tensor:
    """(B, G, d) residuals x - x^_g, where x^_g decodes the latents below `sizes[g]` alone and b_dec.

    `sizes` ascend and end with n; `value` (E,) are the codes at `pairs`. One decode serves all prefixes.
    """
    parts = step.decode(value, _by_group(pairs, sizes)).view(len(step.x), len(sizes), -1)
    return _Residuals.apply(step.x, step.weights["b_dec"], parts)


def _by_group(pairs: Pairs, sizes: list[int]) -> Pairs:
    """The same entries as (token, group) rows: token b's group g, between two sizes, is row b G + g.

    Latents ascend within a token, so that the order of the entries stays.
    """
    bounds = torch.tensor(sizes, device=pairs.latent.device)
    group = torch.searchsorted(bounds, pairs.latent, right=True)
    return Pairs.of(pairs.token * len(sizes) + group, pairs.latent, pairs.batch * len(sizes), pairs.n)


class _Residuals(Function):
    """x - b_dec less the running sum of `parts` (B, G, d) over groups; `x` gets no gradient.

    One pass forward and one backward over (B, G, d), which autograd takes in seven.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, b_dec: Tensor, parts: Tensor) -> Tensor:
        out, left = torch.empty_like(parts), x - b_dec
        for group in range(parts.shape[1]):
            left = torch.sub(left, parts[:, group], out=out[:, group])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor, Tensor]:
        out = torch.empty_like(g)
        later = torch.neg(g[:, -1], out=out[:, -1])
        for group in range(g.shape[1] - 2, -1, -1):
            later = torch.sub(later, g[:, group], out=out[:, group])
        return None, later.sum(0), out
