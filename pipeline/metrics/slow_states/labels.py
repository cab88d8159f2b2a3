"""The tokens that are read, and the states that they were written in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Ints = np.ndarray
"""(N,) int64, a number per token."""


@dataclass(frozen=True)
class State:
    """One label of N tokens: `label` (N,) is 0 to `values` - 1, or -1 where a token has none.

    Value v of a state with a `parent` is a child of one value of it.
    """

    name: str
    values: int
    label: Ints
    slow: bool
    parent: str | None = None


@dataclass(frozen=True)
class Labels:
    """N tokens in the order of the text, special ones left out, and their states."""

    states: tuple[State, ...]
    document: Ints  # 0 to D - 1 in order of appearance
    context: Ints
    token: Ints  # ids of the vocabulary

    @classmethod
    def of(cls, states: Sequence[State], document: Ints, context: Ints, token: Ints) -> Labels:
        """Documents may have any numbers."""
        _, first, place = np.unique(document, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return cls(tuple(states), rank[place], context, token)

    @property
    def documents(self) -> int:
        """D."""
        return int(self.document.max(initial=-1)) + 1

    @property
    def slow(self) -> tuple[State, ...]:
        """The states that last."""
        return tuple(state for state in self.states if state.slow)

    @cached_property
    def half(self) -> Ints:
        """(N,) 0 or 1: every other document. A latent is chosen on one half and measured on the other."""
        return self.document % 2

    def within(self, state: State, half: int) -> np.ndarray:
        """(N,) bool: the labelled tokens of a half."""
        return (state.label >= 0) & (self.half == half)

    def families(self) -> Iterator[tuple[State, State]]:
        """(parent, child), states whose values are parents and children."""
        named = {state.name: state for state in self.states}
        for child in self.states:
            if child.parent is not None:
                yield named[child.parent], child

    @cached_property
    def company(self) -> Ints:
        """(N,): which states a token has, as one number, and its word class where that is one of them.

        Tokens of one company express equally many planted features: what ground truth calls true L0.
        """
        key = np.zeros(len(self.document), dtype=np.int64)
        for state in self.states:
            own = state.label + 1 if state.name == "word_class" else (state.label >= 0).astype(np.int64)
            key = key * (state.values + 1) + own
        return np.unique(key, return_inverse=True)[1]

    def left(self, state: State) -> tuple[np.ndarray, Ints]:
        """(N,) bool and int64: where `state` begins anew, and how many tokens it still lasts, itself counted.

        A run ends with its value, its document or its context.
        """
        ends = [np.diff(each, prepend=-1) != 0 for each in (self.document, self.context)]
        begins = ends[0] | ends[1] | (np.diff(state.label, prepend=-2) != 0)
        run = np.cumsum(begins) - 1
        stop = np.append(np.flatnonzero(begins)[1:], len(begins))
        return begins, stop[run] - np.arange(len(begins))
