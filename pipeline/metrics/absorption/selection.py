"""Which latents a k-sparse probe may use, per output, from the codes of the training words.

Two rules, both signed because a latent must speak *for* its letter (SAEBench 0.6.0 does the same):

- `mean_difference`: mean code over the positives minus mean over the negatives. It is the slope at zero of
  SAEBench's class-weighted L1 probe, so its first latent is the first to enter that probe's path; the
  same criterion selects latents in SAEBench's sparse probing.
- `l1_probe`: SAEBench's own recipe (`train_sparse_multi_probe`), 50 epochs of Adam on the L1-penalised
  probe, from zero instead of random weights. An epoch of a vocabulary below 4096 words is one step, so
  50 steps is all it gets: it ranks a latent that fires for one word as high as the letter's own
  (docs/absorption.md has the measurement).

The work is proportional to the active (word, latent) pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from pipeline.metrics.absorption.section import Rule
from pipeline.sae.core.codes import Codes
from pipeline.sae.core.sparse import bag
from pipeline.tasks.letters.words import COUNT

EPOCHS, BATCH, FIRST_RATE, LAST_RATE = 50, 4096, 1e-2, 1e-5
"""SAEBench's schedule: the learning rate falls exponentially, once per epoch."""

L1, L2 = 1e-2, 1e-6
"""SAEBench's penalties; L1 is on the mean over outputs of sum |w|, L2 is Adam's weight decay."""


@dataclass(frozen=True)
class Columns:
    """The codes of N rows, restricted to the m latents that fire in them, ready for products both ways."""

    latents: Tensor  # (m,) int64, ascending: the dictionary's ids of the columns
    value: Tensor  # (E,)
    column: Tensor  # (E,)
    offsets: Tensor  # (N + 1,)
    row_order: Tensor  # (E,): the row of each entry, entries sorted by column
    value_order: Tensor  # (E,)
    column_offsets: Tensor  # (m + 1,)

    @classmethod
    def of(cls, codes: Codes) -> Columns:
        """From the codes of N rows."""
        pairs, value = codes.pairs, codes.value.float()
        latents, column = torch.unique(pairs.latent, return_inverse=True)
        order = torch.argsort(column, stable=True)
        offsets = torch.zeros(len(latents) + 1, dtype=torch.int64, device=column.device)
        torch.cumsum(torch.bincount(column, minlength=len(latents)), 0, out=offsets[1:])
        return cls(latents, value, column, pairs.offsets, pairs.token[order], value[order], offsets)

    def times(self, weights: Tensor) -> Tensor:
        """(N, P): codes times `weights` (m, P)."""
        return bag(self.value, weights, self.column, self.offsets)

    def transposed_times(self, rows: Tensor) -> Tensor:
        """(m, P): transposed codes times `rows` (N, P)."""
        return bag(self.value_order, rows, self.row_order, self.column_offsets)


def select(codes: Codes, y: Tensor, include: Tensor, k: int, rule: Rule) -> Tensor:
    """(P, k) latent ids, best first, of each output; ties go to the lower latent id.

    `codes` of N rows; `y`, `include` (P, N) bool: labels, and the rows each output is fitted on.
    """
    columns = Columns.of(codes)
    score = (mean_difference if rule == "mean_difference" else l1_probe)(columns, y, include)
    everywhere = score.new_zeros(y.shape[0], codes.pairs.n)
    everywhere[:, columns.latents] = score.T
    return torch.argsort(everywhere, dim=-1, descending=True, stable=True)[:, :k]


def mean_difference(columns: Columns, y: Tensor, include: Tensor) -> Tensor:
    """(m, P): mean code over positive rows minus mean over negative rows of `include` (P, N)."""
    positive, negative = (y & include).T.float(), (~y & include).T.float()
    share = positive / positive.sum(0).clamp_min(1) - negative / negative.sum(0).clamp_min(1)
    return columns.transposed_times(share.contiguous())


def l1_probe(columns: Columns, y: Tensor, include: Tensor) -> Tensor:
    """(m, P) weights of SAEBench's L1 probe after its 50 epochs, from zero; whole-vocabulary steps.

    Binary cross-entropy averaged over rows and over the 26 outputs of one probe, positives weighted by
    negatives/positives; an epoch has ceil(N / 4096) steps.
    """
    positive, rows = (y & include).sum(-1, keepdim=True), include.sum(-1, keepdim=True)
    weight = torch.where(y, (rows - positive) / positive.clamp_min(1), 1.0) * include / rows.clamp_min(1)
    weight, target = (weight / COUNT).T.float().contiguous(), y.T.float()
    w, bias = _Adam(weight.new_zeros(len(columns.latents), len(y))), _Adam(weight.new_zeros(1, len(y)))
    for epoch in range(EPOCHS):
        rate = FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (epoch / EPOCHS)
        for _ in range(ceil(len(target) / BATCH)):
            slope = weight * (torch.sigmoid(columns.times(w.value) + bias.value) - target)
            w.step(columns.transposed_times(slope) + (L1 / COUNT) * w.value.sign() + L2 * w.value, rate)
            bias.step(slope.sum(0, keepdim=True) + L2 * bias.value, rate)
    return w.value


class _Adam:
    """Adam (Kingma and Ba 2015) with torch's defaults, for one tensor."""

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._mean, self._square, self._steps = torch.zeros_like(value), torch.zeros_like(value), 0

    def step(self, gradient: Tensor, rate: float) -> None:
        self._steps += 1
        self._mean.lerp_(gradient, 0.1)
        self._square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (self._square / (1 - 0.999**self._steps)).sqrt_().add_(1e-8)
        self.value = self.value.addcdiv(self._mean, scale, value=-rate / (1 - 0.9**self._steps))
