"""SAEBench's linear probe for first letters; apart from its scores, so that the task needs no SAE code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.tasks.common.disk import load_facts, load_tensors, save
from pipeline.tasks.letters.task import STAGE
from pipeline.tasks.letters.words import COUNT, begins

EPOCHS, BATCH, FIRST_RATE, LAST_RATE, DECAY = 50, 64, 1e-2, 1e-5, 1e-4
"""Of sae-bench 0.6.0's `train_multi_probe`; the learning rate falls exponentially, once per epoch."""

NAME = "saebench"


@dataclass(frozen=True)
class Probe:
    """One linear probe for all letters."""

    weight: Tensor  # (26, d) float32
    bias: Tensor  # (26,)


def fit(x: Tensor, letter: Tensor, include: Tensor, seed: int) -> Probe:
    """The letter probe of the rows `include` (W,) bool of `x` (W, d), trained as SAEBench does, by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    bound = x.shape[1] ** -0.5  # torch's initial Linear layer
    w = ((2 * torch.rand(COUNT, x.shape[1], generator=generator) - 1) * bound).requires_grad_()
    b = ((2 * torch.rand(COUNT, generator=generator) - 1) * bound).requires_grad_()
    x, y = x[include], begins(letter[include]).float()
    ups = y.sum(0)
    weight = (len(y) - ups) / ups.clamp_min(1)
    optimizer = torch.optim.Adam([w, b], lr=FIRST_RATE, weight_decay=DECAY)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (epoch / EPOCHS)
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(x[rows] @ w.T + b, y[rows], pos_weight=weight).backward()
            optimizer.step()
    return Probe(w.detach(), b.detach())


def save_probe(folder: Path, probe: Probe) -> None:
    """Write the probe beside the letter task in `folder`."""
    save(folder, NAME, vars(probe), {})


def load_probe(folder: Path) -> Probe:
    """The probe that `save_probe` wrote; raises BadInput when it is absent or damaged."""
    load_facts(folder, NAME, STAGE)
    return Probe(**load_tensors(folder, NAME, STAGE, ("weight", "bias")))
