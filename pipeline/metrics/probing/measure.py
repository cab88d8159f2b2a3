"""k-sparse probing: how much of a label k latents tell. SAEBench 0.6.0's definitions on fixed splits.

A text's features are the means of its tokens' codes (encoded before pooling). Per problem, the k features
with the largest |mean of positives - mean of negatives| on the training texts go into a logistic
regression (L2, C = 1, unscaled); its accuracy on the test texts is the score.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.stats.logistic import fit_small
from pipeline.tasks.probing.problems import Padded


def top_features(features: Tensor, train: Padded, k: int) -> Tensor:
    """(P, k) ids of the features with the largest |mean of positives - mean of negatives| on `train`.

    `features` (X, n). Ties go to the lower id.
    """
    up, down = train.truth & train.real, ~train.truth & train.real
    share = up / up.sum(-1, keepdim=True) - down / down.sum(-1, keepdim=True)
    weight = torch.zeros(len(share), len(features)).scatter_add_(1, train.text, share)
    difference = (weight @ features).abs()
    return torch.argsort(difference, dim=-1, descending=True, stable=True)[:, :k]


def sparse_logits(features: Tensor, top: Tensor, train: Padded, test: Padded) -> Tensor:
    """(P, M) float64 logits on `test` of logistic regressions on the features `top` (P, k)."""

    def chosen(items: Padded) -> Tensor:
        return features[items.text[:, :, None], top[:, None, :]].double()

    w, b = fit_small(chosen(train), train.truth, train.real)
    return torch.einsum("pmk,pk->pm", chosen(test), w) + b[:, None]


def auc(logits: Tensor, items: Padded) -> Tensor:
    """(P,) area under the ROC curve: share of (positive, negative) pairs in the right order, ties half."""
    out = []
    for score, truth, real in zip(logits, items.truth, items.real, strict=True):
        up, down = score[truth & real], score[~truth & real]
        gap = up[:, None] - down[None]
        out.append(((gap > 0).double() + 0.5 * (gap == 0)).mean())
    return torch.stack(out)
