"""The dense probe on the raw residual stream: what a k-sparse probe on latents is laid beside."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.stats.logistic import fit_shared
from pipeline.tasks.probing.problems import Padded, accuracy

RIDGES = [1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]
"""Penalties (1/C) that the dense probe's validation texts choose from, on standardised features."""


def dense_logits(features: Tensor, train: Padded, validation: Padded, test: Padded) -> Tensor:
    """(P, M) logits on `test` of dense logistic probes, each with the ridge best on `validation`.

    `features` (X, d), standardised by the training texts of all problems. Ties go to the larger ridge.
    """
    seen = torch.unique(train.text[train.real])
    spread, centre = torch.std_mean(features[seen].double(), dim=0)
    scaled = (features.double() - centre) / spread.clamp_min(1e-12)
    y, weight = (torch.zeros(len(train.text), len(scaled), dtype=torch.float64) for _ in range(2))
    y.scatter_add_(1, train.text, (train.truth & train.real).double())
    weight.scatter_add_(1, train.text, train.real.double())
    best = torch.full((len(train.text),), -1.0, dtype=torch.float64)
    out = torch.zeros(test.text.shape, dtype=torch.float64)
    for ridge in reversed(RIDGES):
        w, b = fit_shared(scaled[seen], y[:, seen] > 0, weight[:, seen], ridge, 0.0)
        logits = w @ scaled.T + b[:, None]
        held = accuracy(logits.gather(1, validation.text), validation)
        better = held > best
        best = torch.where(better, held, best)
        out = torch.where(better[:, None], logits.gather(1, test.text), out)
    return out
