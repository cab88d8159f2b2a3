"""What the activations at a site carry: of the token, the document, the position, and of slow states.

Everything is fitted on train tokens and measured on test tokens; drills, whose words stand in no sentence,
are left out where the text has labels. A slow state's reference is the counting filter (text/filter.py): the
probe is linear and sees one activation, the filter sees the words so far and no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.text.states import Field, States

LAGS = (1, 10, 100)
RIDGE = 1e-3
"""Penalty of the probes, times the number of rows and the mean variance of a coordinate."""

Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Split:
    """Contexts of a split: `x` (C, T, d), `tokens`, `document` (C, T), `real` (C, T) where rows count."""

    x: Tensor
    tokens: Ints
    document: Ints
    real: npt.NDArray[np.bool_]
    states: States | None

    @property
    def rows(self) -> Tensor:
        """(N, d): the rows that count."""
        return self.x[torch.from_numpy(self.real)]


@dataclass(frozen=True)
class StateSignal:
    """How well a label is told on test tokens; `reference` is the counting filter's, of slow states only."""

    name: str
    kind: str
    values: int
    chance: float
    accuracy: float
    reference: float | None

    @property
    def ratio(self) -> float | None:
        """Of what the filter reaches above chance, the share that the activations give linearly."""
        if self.reference is None or self.reference <= self.chance:
            return None
        return (self.accuracy - self.chance) / (self.reference - self.chance)


def measure(train: Split, test: Split, reference: Mapping[str, float]) -> dict[str, Any]:
    """The report: shares of the test rows' variance, shape of their covariance, memory, states.

    `reference` is the counting filter's accuracy on the test split, of each slow state.
    """
    centre = train.rows.mean(0)
    fitted, held = _centred(train, centre), _centred(test, centre)
    fields = [] if test.states is None else test.states.fields
    states = [_state(field, fitted, held, reference.get(field.name)) for field in fields]
    return {
        "train_tokens": int(train.real.sum()),
        "test_tokens": int(test.real.sum()),
        "participation_ratio": participation_ratio(held.rows),
        "token_share": _explained(held, _means(fitted, fitted.tokens, held.tokens)),
        "position_share": _explained(held, _means(fitted, _positions(fitted), _positions(held))),
        "document_share": _document_share(held),
        "autocorrelation": {str(lag): _autocorrelation(held, lag) for lag in LAGS},
        "states": [
            {"name": each.name, "kind": each.kind, "values": each.values, "chance": each.chance,
             "accuracy": each.accuracy, "reference": each.reference, "ratio": each.ratio}
            for each in states
        ],
    }  # fmt: skip


def participation_ratio(x: Tensor) -> float:
    """(sum of eigenvalues)^2 / sum of their squares, of the covariance of x (N, d)."""
    covariance = torch.cov(x.double().T)
    return float(covariance.trace() ** 2 / covariance.square().sum())


def _centred(split: Split, centre: Tensor) -> Split:
    return Split(split.x - centre, split.tokens, split.document, split.real, split.states)


def _positions(split: Split) -> Ints:
    return np.broadcast_to(np.arange(split.tokens.shape[1]), split.tokens.shape)


def _means(fitted: Split, groups: Ints, wanted: Ints) -> Tensor:
    """For each wanted group (C, T) the mean of the fitted rows in it, shrunk by n / (n + 1)."""
    names, index = np.unique(groups[fitted.real], return_inverse=True)
    place = torch.from_numpy(index)
    total = torch.zeros(len(names) + 1, fitted.x.shape[-1]).index_add_(0, place, fitted.rows)
    count = torch.bincount(place, minlength=len(names) + 1)
    means = total / (count + 1)[:, None]
    found = np.searchsorted(names, wanted).clip(max=len(names) - 1)
    found = np.where(names[found] == wanted, found, len(names))  # unseen: zero
    return means[torch.from_numpy(found)]


def _explained(held: Split, predicted: Tensor) -> float:
    """Share of the held rows' variance that `predicted` (C, T, d) explains."""
    real = torch.from_numpy(held.real)
    rest = (held.x[real] - predicted[real]).square().sum()
    return 1 - float(rest / (held.rows - held.rows.mean(0)).square().sum())


def _document_share(held: Split) -> float:
    """Explained by the mean of the other tokens of the document in its context."""
    context = np.arange(len(held.tokens))[:, None] * (held.document.max() + 1)
    _, index = np.unique((context + held.document)[held.real], return_inverse=True)
    place, rows = torch.from_numpy(index), held.rows
    rows = rows - rows.mean(0)
    total = torch.zeros(int(place.max()) + 1, rows.shape[1]).index_add_(0, place, rows)
    others = (torch.bincount(place) - 1).clamp(min=1)
    predicted = (total[place] - rows) / others[place, None]
    return 1 - float((rows - predicted).square().sum() / rows.square().sum())


def _autocorrelation(held: Split, lag: int) -> float | None:
    """Mean product of rows `lag` tokens apart in a document, over the mean square; None without such rows."""
    if lag >= held.tokens.shape[1]:
        return None
    both = held.real[:, lag:] & held.real[:, :-lag] & (held.document[:, lag:] == held.document[:, :-lag])
    if not both.any():
        return None
    x, pairs = held.x - held.rows.mean(0), torch.from_numpy(both)
    product = (x[:, lag:][pairs] * x[:, :-lag][pairs]).sum(-1).mean()
    return float(product / x[torch.from_numpy(held.real)].square().sum(-1).mean())


def _state(field: Field, fitted: Split, held: Split, reference: float | None) -> StateSignal:
    assert fitted.states is not None
    assert held.states is not None
    y, truth = fitted.states.of(field.name), held.states.of(field.name)
    known, asked = (y >= 0) & fitted.real, (truth >= 0) & held.real
    told = _probe(fitted.x[torch.from_numpy(known)], y[known], held.x[torch.from_numpy(asked)], field.values)
    chance = float(np.bincount(y[known]).max() / known.sum())
    accuracy = float((told == truth[asked]).mean())
    return StateSignal(field.name, field.kind, field.values, chance, accuracy, reference)


def _probe(x: Tensor, y: Ints, wanted: Tensor, values: int) -> Ints:
    """The class of each wanted row, by ridge regression on indicators."""
    target = nn.functional.one_hot(torch.from_numpy(y.astype(np.int64)), values).to(x.dtype)
    centre, mean = x.mean(0), target.mean(0)
    x = x - centre
    gram = (x.T @ x).double()
    gram += RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), dtype=gram.dtype)
    weight = torch.linalg.solve(gram, (x.T @ (target - mean)).double()).to(x.dtype)
    found: Ints = ((wanted - centre) @ weight + mean).argmax(1).numpy()
    return found
