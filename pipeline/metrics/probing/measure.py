"""k-sparse probing: how much of a label k latents tell. SAEBench 0.6.0's definitions on fixed splits.

A text's features are the means of its tokens' codes (encoded before pooling). Per problem, the k features
with the largest |mean of positives - mean of negatives| on the training texts go into a logistic
regression (L2, C = 1, unscaled); its accuracy on the test texts is the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field, field_validator
from torch import Tensor

from pipeline.params import Section
from pipeline.stats.logistic import fit_shared, fit_small
from pipeline.tasks.probing.task import Problem

RIDGES = [1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]
"""Penalties (1/C) that the dense probe's validation texts choose from, on standardised features."""


class ProbingSection(Section):
    """`probing`: the k of k-sparse probing."""

    k: list[int] = Field([1, 2, 5], min_length=1, description="numbers of latents a probe may use")
    resamples: int = Field(1000, ge=100, description="bootstrap resamples over texts")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")

    @field_validator("k")
    @classmethod
    def _ascending(cls, k: list[int]) -> list[int]:
        if k[0] < 1 or sorted(set(k)) != k:
            raise ValueError("list numbers from 1 up, ascending, each once")
        return k


@dataclass(frozen=True)
class Padded:
    """The items of P problems of one split, padded to equal length M."""

    text: Tensor  # (P, M) int64
    truth: Tensor  # (P, M) bool
    real: Tensor  # (P, M) bool: false at padding

    @classmethod
    def of(cls, problems: list[Problem], split: str) -> Padded:
        """The items of `split`."""
        longest = max(len(problem.items[split]) for problem in problems)
        shape = (len(problems), longest)
        text, truth, real = (
            torch.zeros(shape, dtype=dtype) for dtype in (torch.int64, torch.bool, torch.bool)
        )
        for row, problem in enumerate(problems):
            count = len(problem.items[split])
            text[row, :count] = torch.tensor(problem.items[split])
            truth[row, :count] = torch.tensor(problem.truth[split])
            real[row, :count] = True
        return cls(text, truth, real)


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


def right(logits: Tensor, items: Padded) -> Tensor:
    """(P, M) bool: whether the sign of the logit is right; false at padding."""
    return ((logits > 0) == items.truth) & items.real


def accuracy(logits: Tensor, items: Padded) -> Tensor:
    """(P,) float64."""
    return right(logits, items).sum(-1).double() / items.real.sum(-1)


def auc(logits: Tensor, items: Padded) -> Tensor:
    """(P,) area under the ROC curve: share of (positive, negative) pairs in the right order, ties half."""
    out = []
    for score, truth, real in zip(logits, items.truth, items.real, strict=True):
        up, down = score[truth & real], score[~truth & real]
        gap = up[:, None] - down[None]
        out.append(((gap > 0).double() + 0.5 * (gap == 0)).mean())
    return torch.stack(out)
