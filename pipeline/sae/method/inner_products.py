"""Weighted inner products between the codes of a context's tokens, from active pairs alone.

G_st = sum_i w_i h_si h_ti over the latents i of one context. Densely that is a (T, n) by (n, T) product
per context and two more backward; here row s of G is a bag: the codes that are active at s times the
context's column of each of these latents, (T,) numbers. At B 2048, n 4096, L0 48, T 128 a step of tsae
takes 117 ms of CPU time instead of 650; one of standard 90.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.sparse import bag, row_dots


@dataclass(frozen=True)
class Layout:
    """Which context's rows a batch of B tokens holds, T at most of one context, and its active columns.

    A column is a (context, latent) with an active pair; there are U of them.
    """

    pairs: Pairs  # active (token, column) pairs
    context: Tensor  # (U,) context of each column
    length: Tensor  # (C,) rows of each context
    local: Tensor  # (B,) place of each row in its context
    neighbour: Tensor  # (B, T) the t-th row of each row's context, as a row of the batch
    inside: Tensor  # (B, T) bool: there is such a row

    @classmethod
    def of(cls, segments: list[tuple[int, int]], pairs: Pairs) -> Layout:
        """From where each context begins and ends in the batch, and the active (token, latent) pairs."""
        edges = torch.tensor(segments, device=pairs.latent.device)
        length = edges[:, 1] - edges[:, 0]
        owner = torch.repeat_interleave(length)  # (B,) context of each row
        rows = torch.arange(pairs.batch, device=length.device)
        local = rows - edges[owner, 0]
        places = torch.arange(int(length.max()), device=length.device)
        inside = places < length[owner, None]
        neighbour = torch.where(inside, edges[owner, :1] + places, rows[:, None])
        key = owner[pairs.token] * pairs.n + pairs.latent
        used = torch.zeros(len(segments) * pairs.n, dtype=torch.bool, device=key.device)
        used[key] = True
        column = (used.cumsum(0) - 1).index_select(0, key)
        context = used.nonzero().squeeze(1) // pairs.n
        columns = Pairs(column, pairs.offsets, len(context))
        columns.__dict__["token"] = pairs.token
        return cls(columns, context, length, local, neighbour, inside)

    def weights(self, f: Tensor, least: float, printed: bool) -> Tensor:
        """(U,) variance over its context's rows of each column of codes `f` (E,); 0 below `least`.

        Mean 1 over the columns kept in a context, or, as `printed`, sum 1.
        """
        length = self.length[self.context].to(f)
        active = self.pairs.sum_by_latent(torch.ones_like(f))
        mean = self.pairs.sum_by_latent(f) / length
        off = (f - mean.index_select(0, self.pairs.latent)).square()
        variance = (self.pairs.sum_by_latent(off) + (length - active) * mean.square()) / length
        variance = torch.where(variance >= least, variance, 0.0)
        contexts = f.new_zeros(len(self.length))
        total = contexts.index_add(0, self.context, variance)
        kept = contexts.index_add(0, self.context, (variance > 0).to(f))
        scale = (torch.ones_like(kept) if printed else kept) / total.clamp_min(1e-12)
        return variance * scale[self.context]

    def table(self, f: Tensor) -> Tensor:
        """(U, T) dense columns of codes `f` (E,)."""
        out = f.new_zeros(self.pairs.n, self.inside.shape[1])
        place = self.pairs.latent * out.shape[1] + self.local.index_select(0, self.pairs.token)
        out.view(-1)[place] = f
        return out


def gram(f: Tensor, weight: Tensor, layout: Layout) -> Tensor:
    """(B, T): G_st of codes `f` (E,) with `weight` (U,), t counted within the context of row s.

    Zero beyond a context's rows. Differentiable in `f`.
    """
    return _Gram.apply(f, weight, layout)


class _Gram(Function):
    @staticmethod
    def forward(ctx: Any, f: Tensor, weight: Tensor, layout: Layout) -> Tensor:
        pairs = layout.pairs
        table, at = layout.table(f), weight.index_select(0, pairs.latent)
        ctx.save_for_backward(table, at)
        ctx.layout = layout
        return bag(f * at, table, pairs.latent, pairs.offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        table, at = ctx.saved_tensors
        layout: Layout = ctx.layout
        mirror = (layout.neighbour * g.shape[1] + layout.local[:, None]).reshape(-1)
        both = g + g.reshape(-1).index_select(0, mirror).view_as(g)  # what G_st and G_ts ask for
        return at * row_dots(both, table, layout.pairs), None, None


def products(a: tuple[Tensor, Pairs], b: tuple[Tensor, Pairs]) -> Tensor:
    """(A, B): inner products of the rows of codes `a` with those of `b`, each codes (E,) and their pairs.

    As in `gram`, a row is a bag of columns. At A = B = 1024, 819 latents, 10 active, forward and backward
    take 10 ms of CPU time; dense 74. Differentiable in both codes.
    """
    return _Products.apply(a[0], b[0], a[1], b[1])


class _Products(Function):
    @staticmethod
    def forward(ctx: Any, f: Tensor, h: Tensor, a: Pairs, b: Pairs) -> Tensor:
        ctx.save_for_backward(f, h)
        ctx.pairs = a, b
        return bag(f, b.dense(h).T.contiguous(), a.latent, a.offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None, None]:
        f, h = ctx.saved_tensors
        a, b = ctx.pairs
        by_f = row_dots(g, b.dense(h).T.contiguous(), a)
        return by_f, row_dots(g.T, a.dense(f).T.contiguous(), b), None, None
