"""Word pools: ids with probabilities, and the weights they are made of."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import exp
from random import Random

Uniform = Callable[[], float]
"""A source of uniform numbers in [0, 1): the `random` method of a seeded `random.Random`."""

EXPONENT, OFFSET = 1.2, 4.0
"""Base weight of the word of rank r: (r + OFFSET)^-EXPONENT, ranks at random."""


class Pool:
    """Token ids with probabilities; `draw` takes one."""

    def __init__(self, ids: Sequence[int], weights: Sequence[float]) -> None:
        self.ids = list(ids)
        self._edges = list(accumulate(weights))
        self._total = self._edges[-1]

    def draw(self, uniform: Uniform) -> int:
        """One id, with probability proportional to its weight."""
        return self.ids[bisect_right(self._edges, uniform() * self._total)]


def base_weights(count: int, rng: Random) -> list[float]:
    """Zipf-like weights of `count` words, in random order."""
    weights = [(rank + 1 + OFFSET) ** -EXPONENT for rank in range(count)]
    rng.shuffle(weights)
    return weights


def leanings(values: int, count: int, spread: float, rng: Random) -> list[list[float]]:
    """Factors exp(spread N(0, 1)) of `count` words for each of `values` values of a state."""
    return [[exp(spread * rng.gauss(0, 1)) for _ in range(count)] for _ in range(values)]


def product(*factors: Sequence[float]) -> list[float]:
    """Word by word."""
    result = list(factors[0])
    for each in factors[1:]:
        result = [a * b for a, b in zip(result, each, strict=True)]
    return result


def shared_out(weights: list[float], groups: list[int], shares: dict[int, float]) -> list[float]:
    """`weights` scaled so that each group of words has its share of the whole; empty groups have none."""
    mass = dict.fromkeys(shares, 0.0)
    for weight, group in zip(weights, groups, strict=True):
        mass[group] += weight
    return [weight * shares[group] / mass[group] for weight, group in zip(weights, groups, strict=True)]
