"""What reads the states without an SAE: one neuron, the token alone, a dense probe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.metrics.slow_states.labels import Labels, State
from pipeline.metrics.slow_states.reading import Reading, distinct

RIDGE = 1e-3
"""Of the mean variance of a neuron, added to each: the dense probe's penalty per token."""

Fit = Callable[[Labels, State, int], tuple[np.ndarray, np.ndarray]]
"""Scores (N, V) fitted on one half, and which columns they are."""


def read(fit: Fit, labels: Labels, state: State) -> Reading:
    """The reading of each half by what is fitted on the other."""
    (first, chosen), (second, again) = (fit(labels, state, 1 - half) for half in (0, 1))
    return Reading(state, (first, second), (chosen, again))


def neurons(x: np.ndarray) -> Fit:
    """The neuron of `x` (N, d) with the AUC farthest from one half, by its sign."""
    ranks: dict[bytes, np.ndarray] = {}

    def fit(labels: Labels, state: State, half: int) -> tuple[np.ndarray, np.ndarray]:
        which = labels.within(state, half)
        key = which.tobytes()  # states that label the same tokens share the ranks
        if key not in ranks:
            ranks[key] = np.stack([_ranks(column) for column in x[which].T], 1)
        positive = state.label[which][:, None] == np.arange(state.values)
        count, total = positive.sum(0), len(positive)
        with np.errstate(invalid="ignore", divide="ignore"):
            auc = (ranks[key].T @ positive - count * (count + 1) / 2) / (count * (total - count))
        auc = np.nan_to_num(auc, nan=0.5)
        best = np.abs(auc - 0.5).argmax(0)
        sign = np.where(auc[best, np.arange(state.values)] < 0.5, -1.0, 1.0)
        return x[:, best] * sign, best

    return fit


def token_lookup(labels: Labels, state: State, half: int) -> tuple[np.ndarray, np.ndarray]:
    """The share of each value among a token's occurrences, one more added of the value's share of all."""
    which = labels.within(state, half)
    own = np.eye(state.values)[state.label[which]]
    share = own.mean(0) if len(own) else np.full(state.values, 1 / state.values)
    words = int(labels.token.max()) + 1
    table = np.stack([np.bincount(labels.token[which], each, words) for each in own.T], 1)
    seen = np.bincount(labels.token[which], minlength=words)[:, None]
    return ((table + share) / (seen + 1))[labels.token], np.zeros(0, dtype=np.int64)


def dense_probe(x: np.ndarray) -> Fit:
    """Ridge regressions of each value on all of `x` (N, d) and an intercept; zeros from one token or none."""

    def fit(labels: Labels, state: State, half: int) -> tuple[np.ndarray, np.ndarray]:
        which = labels.within(state, half)
        if which.sum() < 2:
            return np.zeros((len(x), state.values)), np.zeros(0, dtype=np.int64)
        centre = x[which].mean(0)
        here = x[which] - centre
        own = np.eye(state.values)[state.label[which]]
        gram = here.T @ here
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram)
        return (x - centre) @ np.linalg.solve(gram, here.T @ (own - own.mean(0))), np.zeros(0, dtype=np.int64)

    return fit


def _ranks(column: np.ndarray) -> np.ndarray:
    """(n,) the rank of each number, from 1; equal ones share their mean rank."""
    group, groups = distinct(column)
    count = np.bincount(group, minlength=groups)
    return (np.cumsum(count) - (count - 1) / 2)[group]
