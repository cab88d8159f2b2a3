"""The gate of the embedded model: do its activations know first letters?

Cross-entropy does not show it (a model with 2.97 nats has been seen to know none), and without
letters every absorption number is void.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

TRAIN_SHARE = 0.7
SPLITS = 5
L2 = 1e-3
"""Penalty on the squared weights per word; the features are standardised."""
ITERATIONS = 100


def letter_accuracy(residual: Tensor, letters: list[str], seed: int) -> tuple[float, int]:
    """Accuracy of a 26-way linear probe on words it was not fitted on, and how many predictions that is.

    `residual` (W, d), `letters` the class of each row. A multinomial logistic regression on
    standardised features, fitted by L-BFGS in float64; 70 % of each letter's words train it, and the
    accuracy is pooled over SPLITS such splits, because one split holds out ten words a letter.
    """
    classes = {letter: index for index, letter in enumerate(sorted(set(letters)))}
    y = torch.tensor([classes[letter] for letter in letters])
    right = [_split_right(residual.double(), y, SPLITS * seed + index) for index in range(SPLITS)]
    pooled = torch.cat(right)
    return float(pooled.double().mean()), len(pooled)


def _split_right(x: Tensor, y: Tensor, seed: int) -> Tensor:
    """Whether each held-out word of one split is predicted right, boolean."""
    train = train_split(y, seed)
    x = (x - x[train].mean(0)) / x[train].std(0).clamp(min=1e-6)
    weight = fit_multinomial(x[train], y[train], int(y.max()) + 1)
    return (_with_one(x[~train]) @ weight).argmax(1) == y[~train]


def train_split(y: Tensor, seed: int) -> Tensor:
    """True for the training words (W,): the same share of every letter, at least one word held out."""
    generator = torch.Generator().manual_seed(seed)
    train = torch.zeros(len(y), dtype=torch.bool)
    for letter in y.unique():
        rows = (y == letter).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)]
        train[rows[: min(int(TRAIN_SHARE * len(rows)), len(rows) - 1)]] = True
    return train


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], 1)


def fit_multinomial(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """Weights (d + 1, classes), the last row the bias: cross-entropy plus L2 |w|^2, by L-BFGS."""
    x = _with_one(x)
    weight = torch.zeros(x.shape[1], classes, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(x @ weight, y) + L2 * weight[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach()
