"""The sparse step: two differentiable functions that touch active pairs only.

`decode` and `encode_at` are what every variant's objective is written with; autograd composes
them with whatever the variant adds. Their gradients equal the dense ones (a test holds them to
2e-6 relative). Above `DENSE_ABOVE` of all pairs active, which is where a ReLU dictionary begins,
the same functions run as dense matmuls instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from pipeline.sae.core.codes import Pairs

DENSE_ABOVE = 0.2
"""Density at which dense matmuls become the cheaper form (docs/sae.md has the measurement)."""


def decode(value: Tensor, W_dec: Tensor, pairs: Pairs) -> Tensor:
    """(B, d): sum over the active latents of `value` (E,) times decoder rows of `W_dec` (n, d); no bias."""
    return _Decode.apply(value, W_dec, pairs, pairs.density > DENSE_ABOVE)


def encode_at(x: Tensor, W_enc: Tensor, bias: Tensor, pre: Tensor, pairs: Pairs) -> Tensor:
    """(E,): `pre` = x W_enc + bias at `pairs`, with gradients to `W_enc` (d, n) and `bias` (n,).

    `x` (B, d) gets no gradient. `pre` (B, n) is computed once without a graph and looked up here.
    """
    return _EncodeAt.apply(W_enc, bias, x, pre, pairs, pairs.density > DENSE_ABOVE)


def bag(weights: Tensor, table: Tensor, index: Tensor, offsets: Tensor) -> Tensor:
    """Per bag, the sum of `table[index]` rows times `weights`; `offsets` has one more entry than bags."""
    if index.numel() == 0:
        return table.new_zeros(offsets.numel() - 1, table.shape[1])
    return embedding_bag(
        index, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def row_dots(g: Tensor, table: Tensor, pairs: Pairs) -> Tensor:
    """(E,): <g[token], table[latent]> at each pair: the bag kernel's own gradient (a gather-and-dot: 20x)."""
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        g.contiguous(), table, pairs.latent, pairs.offsets, pairs.token, 0, -1
    )


class _Decode(Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, W_dec: Tensor, pairs: Pairs, dense: bool) -> Tensor:
        ctx.save_for_backward(value, W_dec)
        ctx.pairs, ctx.dense = pairs, dense
        if dense:
            return pairs.dense(value) @ W_dec
        return bag(value, W_dec, pairs.latent, pairs.offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        value, W_dec = ctx.saved_tensors
        pairs: Pairs = ctx.pairs
        wants_value, wants_W_dec = ctx.needs_input_grad[:2]
        grad_value = grad_W_dec = None
        if ctx.dense:
            grad_value = pairs.at(g @ W_dec.T) if wants_value else None
            grad_W_dec = pairs.dense(value).T @ g if wants_W_dec else None
        else:
            grad_value = row_dots(g, W_dec, pairs) if wants_value else None
            if wants_W_dec:
                order, offsets = pairs.by_latent
                entry = value.index_select(0, order), pairs.token.index_select(0, order)
                grad_W_dec = bag(entry[0], g.contiguous(), entry[1], offsets)
        return grad_value, grad_W_dec, None, None


class _EncodeAt(Function):
    @staticmethod
    def forward(
        ctx: Any, W_enc: Tensor, bias: Tensor, x: Tensor, pre: Tensor, pairs: Pairs, dense: bool
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.pairs, ctx.dense = pairs, dense
        return pairs.at(pre)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        (x,) = ctx.saved_tensors
        pairs: Pairs = ctx.pairs
        wants_W_enc, wants_bias = ctx.needs_input_grad[:2]
        grad_W_enc = None
        if wants_W_enc and ctx.dense:
            grad_W_enc = (pairs.dense(g).T @ x).T
        elif wants_W_enc:
            order, offsets = pairs.by_latent
            # (n, d) as the bags give it, handed on as the (d, n) view that W_enc itself is
            entry = g.index_select(0, order), pairs.token.index_select(0, order)
            grad_W_enc = bag(entry[0], x, entry[1], offsets).T
        return grad_W_enc, pairs.sum_by_latent(g) if wants_bias else None, None, None, None, None
