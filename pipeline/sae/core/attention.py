"""Codes in two parts: what a document's earlier tokens suggest, and what is left (`SAE.attention`).

Temporal Feature Analysis (Lubana et al. 2025, 2511.01836). With z = relu((x - b_dec) W_enc + b_enc), each
head has a query q_t = z_t W_q + b_q of the token, keys k_s = z_s W_k and values v_s = z_s W_v + b_v
of the tokens s < t of its document, and of one empty slot in front of them k_0 = 0, v_0 = b_v:

    p_t = relu(concat over heads (sum_{s < t} softmax_s(<q_t, k_s> / sqrt(key)) v_s) W_o + b_o)
    predictable part: g_t p_t,  g_t = <x_t - b_dec, p_t W_dec> / |p_t W_dec|^2
    novel part: TopK of relu((x_t - b_dec - g_t p_t W_dec) W_enc + b_enc)
    x^_t = (predictable + novel) W_dec + b_dec

Formulas: the released code (eslubana/TemporalFeatureAnalysis; SAELens' `temporal` has the same), which shifts
the codes by one token and puts zeros first: the empty slot. (Its keys have a bias, which shifts all scores
of a token alike and so does nothing.) Ours: b_enc; a negative g counts as 0, because
codes are not negative; other documents are never read; p keeps its largest entries alone (`kept`), and the
two parts share one budget.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.sae.core.tensors import Tensors


@dataclass(frozen=True)
class Attention(Tensors):
    """Attention over codes (n,) of earlier tokens, by `heads` heads of `key` and `value` dimensions."""

    W_q: Tensor  # (n, heads * key)
    b_q: Tensor
    W_k: Tensor  # (n, heads * key)
    W_v: Tensor  # (n, heads * value)
    b_v: Tensor
    W_o: Tensor  # (heads * value, n)
    b_o: Tensor  # (n,)
    heads: int
    kept: int | None  # the largest entries of p that count; None: all, and they cost the novel part nothing

    def predict(self, z: Tensor, documents: Documents) -> Tensor:
        """(B, n) p >= 0 of codes `z` (B, n), rows in the order of the text."""
        query, key, value = z @ self.W_q + self.b_q, z @ self.W_k, z @ self.W_v + self.b_v
        apart = [self._apart(each) for each in (query, key, value, self.b_v[None])]
        p = (documents.attend(*apart).flatten(1) @ self.W_o + self.b_o).relu()
        return p if self.kept is None else p * _largest(p.detach(), self.kept)

    def _apart(self, rows: Tensor) -> Tensor:
        """(B, H, dimensions of a head)."""
        return rows.view(len(rows), self.heads, rows.shape[1] // self.heads)

    def scaled(self, s: float) -> Attention:
        """Of codes that are 1/s of what they were (`SAE.scaled`)."""
        return replace(self, W_q=self.W_q * s, W_k=self.W_k * s, W_v=self.W_v * s)


@dataclass(frozen=True)
class Documents:
    """Where B rows stand: in C runs of at most T rows, each a document's tokens in order."""

    row: Tensor  # (C, T) int64, a run's t-th row; 0 where it has none
    inside: Tensor  # (C, T) bool

    @classmethod
    def of(cls, past: Tensor) -> Documents:
        """From how many rows right above each are the tokens before it, (B,); the first row begins a run."""
        begins = past == 0
        begins[:1] = True
        start = begins.nonzero().squeeze(1)
        length = start.diff(append=start.new_full((1,), len(past)))
        place = torch.arange(int(length.max()) if len(length) else 0, device=past.device)
        inside = place < length[:, None]
        return cls(torch.where(inside, start[:, None] + place, 0), inside)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, slot: Tensor) -> Tensor:
        """(B, H, value): of each row, the values of the rows before it in its run and of the empty `slot`.

        `query` and `key` (B, H, key), `value` (B, H, value); the slot's value (1, H, value), its key is 0.
        """
        query, key, value = (each[self.row].transpose(1, 2) for each in (query, key, value))  # (C, H, T, .)
        ahead = torch.ones(query.shape[2], query.shape[2], dtype=torch.bool, device=query.device).triu()
        score = (query @ key.transpose(2, 3)).masked_fill(ahead, -torch.inf)
        score = torch.cat([score.new_zeros(*score.shape[:3], 1), score], 3)
        weight = (score * query.shape[3] ** -0.5).softmax(3)
        return (weight[..., 1:] @ value + weight[..., :1] * slot.transpose(0, 1)).transpose(1, 2)[self.inside]


@dataclass(frozen=True)
class Parts:
    """Both parts of B tokens' codes, (B, n) and never below zero, and what the novel one was read from."""

    predictable: Tensor
    novel: Tensor
    left: Tensor  # (B, d) = x - predictable W_dec
    pre: Tensor  # (B, n) pre-activations of `left`


def parts(
    x: Tensor, past: Tensor, W_enc: Tensor, bias: Tensor, W_dec: Tensor, b_dec: Tensor,
    attention: Attention, k: int,
) -> Parts:  # fmt: skip
    """Both parts of the codes of `x` (B, d), differentiable; `bias` (n,) is b_enc - b_dec W_enc.

    k codes per token in all, or with a dense predictable part k novel ones. A latent that is in both parts
    counts once; what the predictable part does not use, all k where it has none, the novel one may.
    """
    p = attention.predict((x @ W_enc + bias).relu(), Documents.of(past))
    along = p @ W_dec
    size = ((x - b_dec) * along).sum(1, keepdim=True) / along.square().sum(1, keepdim=True).clamp_min(1e-12)
    predictable, left = size.relu() * p, x - size.relu() * along
    pre = left @ W_enc + bias
    paid = None if attention.kept is None else predictable.detach() > 0
    return Parts(predictable, pre.relu() * _within(pre.detach(), k, paid), left, pre)


def _largest(p: Tensor, k: int) -> Tensor:
    """(B, n) 0 or 1: the k largest entries of each row."""
    return torch.zeros_like(p).scatter_(1, p.topk(min(k, p.shape[1]), dim=1).indices, 1.0)


def _within(pre: Tensor, k: int, paid: Tensor | None) -> Tensor:
    """(B, n) 0 or 1: a row's largest entries, down until k latents are active with those that are `paid`."""
    top, latent = pre.topk(k, dim=1)
    kept = top > 0
    if paid is not None:
        room = k - paid.sum(1, keepdim=True)
        kept &= (kept & ~paid.gather(1, latent)).cumsum(1) <= room
    return torch.zeros_like(pre).scatter_(1, latent, kept.to(pre))
