"""The counting filter: what can be known of a slow state from the words so far, without any network.

A hidden Markov filter for each state by itself: hazard 1 / mean run, emissions counted on training tokens,
blind to the other states. It is the reference that a language model's activations are held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.text.contexts import Tokens
from pipeline.text.states import States

SHRINK = 20.0
"""Counts that a value's word frequencies are pulled towards those of the whole text with."""

Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Filter:
    """`log_emission` (K, V), the log-likelihood of a token under each value; `hazard` per token."""

    log_emission: npt.NDArray[np.float64]
    hazard: float

    @classmethod
    def fit(cls, tokens: Ints, values: Ints, document: Ints, vocab_size: int) -> Filter:
        """Count on `tokens`, `values` (-1: none) and `document`, all (C, T)."""
        known, size = values >= 0, int(values.max()) + 1
        flat = values[known].astype(np.int64) * vocab_size + tokens[known]
        counts = np.bincount(flat, minlength=size * vocab_size).reshape(size, vocab_size).astype(np.float64)
        overall = (counts.sum(0) + 0.1) / (counts.sum() + 0.1 * vocab_size)
        emission = (counts + SHRINK * overall) / (counts.sum(1, keepdims=True) + SHRINK)
        pairs = known[:, 1:] & known[:, :-1] & (document[:, 1:] == document[:, :-1])
        changes = (values[:, 1:] != values[:, :-1]) & pairs
        return cls(np.log(emission), float(changes.sum() / max(pairs.sum(), 1)))

    def predict(self, tokens: Ints, document: Ints) -> Ints:
        """The most probable value (C, T) after each token; the filter starts anew with each document."""
        contexts, width = tokens.shape
        size = len(self.log_emission)
        found = np.zeros((contexts, width), dtype=np.int64)
        belief = np.full((contexts, size), 1 / size)
        for t in range(width):
            new = np.ones(contexts, dtype=bool) if t == 0 else document[:, t] != document[:, t - 1]
            belief[new] = 1 / size
            belief = (1 - self.hazard) * belief + self.hazard * (1 - belief) / max(size - 1, 1)
            belief *= np.exp(self.log_emission[:, tokens[:, t]].T)
            belief /= belief.sum(1, keepdims=True)
            found[:, t] = belief.argmax(1)
        return found


def reached(tokens: Tokens, states: States | None) -> dict[str, float]:
    """The filter's accuracy on the test split, of each slow state; `states` are those of all contexts."""
    if states is None:
        return {}
    train, test = (slice(*tokens.splits[name]) for name in ("train", "test"))
    found = {}
    for field in states.slow:
        values = states.of(field.name)
        fitted = Filter.fit(tokens.tokens[train], values[train], tokens.document[train], tokens.vocab_size)
        told = fitted.predict(tokens.tokens[test], tokens.document[test])
        known = values[test] >= 0
        found[field.name] = float((told == values[test])[known].mean())
    return found
