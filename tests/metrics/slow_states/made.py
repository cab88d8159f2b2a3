"""Labelled text made up token by token, and codes with given columns."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.metrics.slow_states.fired import Fired
from pipeline.metrics.slow_states.labels import Labels, State
from pipeline.metrics.slow_states.reading import Candidates, Reading
from tests.metrics.codes import sparse

LENGTH = 60


def runs(documents: int, values: int, last: int, seed: int, length: int = LENGTH) -> np.ndarray:
    """(documents * length,) labels: a state that changes to another value every `last` tokens."""
    rng = np.random.default_rng(seed)
    steps = np.concatenate(
        [rng.integers(values, size=(documents, 1)), rng.integers(1, values, (documents, length // last))], 1
    )
    return np.repeat(steps.cumsum(1) % values, last, axis=1)[:, :length].ravel()


def text(*states: State, documents: int, length: int = LENGTH) -> Labels:
    """Documents of equal length, each a context of its own."""
    document = np.repeat(np.arange(documents), length)
    return Labels.of(states, document, document, np.arange(len(document)) % 17)


def state(name: str, label: np.ndarray, parent: str | None = None, slow: bool = True) -> State:
    """With as many values as it shows."""
    return State(name, int(label.max()) + 1, label.astype(np.int64), slow, parent)


def fired(dense: np.ndarray) -> Fired:
    """From dense codes (N, n), in two blocks."""
    codes = torch.from_numpy(dense).float()
    cut = len(codes) // 3
    return Fired.of([sparse(codes[:cut]), sparse(codes[cut:])], dense.shape[1])


def best(found: Fired, labels: Labels, densest: float = 1.0) -> Reading:
    """The best latents of the first slow state."""
    return Candidates.of(found, labels, labels.slow[0]).best(found, densest)
