"""Word pools: draws by Zipf frequency, draws that keep a first letter, favourite followers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from random import Random

Uniform = Callable[[], float]
"""A source of uniform numbers in [0, 1): the `random` method of a seeded `random.Random`."""


class Pool:
    """Token ids with probabilities; `draw` takes one."""

    def __init__(self, ids: list[int], weights: list[float]) -> None:
        self.ids = ids
        self.weights = weights
        self._edges = list(accumulate(weights))
        self._total = self._edges[-1]

    def draw(self, uniform: Uniform) -> int:
        """One id, with probability proportional to its weight."""
        return self.ids[bisect_right(self._edges, uniform() * self._total)]


class WordPool(Pool):
    """A Zipf pool (weight of the word of rank r: (r + offset)^-exponent, ranks in random order)."""

    def __init__(
        self, ids: list[int], letters: dict[int, str], exponent: float, offset: float, rng: Random
    ) -> None:
        ranked = list(ids)
        rng.shuffle(ranked)
        super().__init__(ranked, [(rank + 1 + offset) ** -exponent for rank in range(len(ranked))])
        self.by_letter: dict[str, Pool] = {}
        for letter in sorted({letters[i] for i in ranked}):
            kept = [(i, w) for i, w in zip(ranked, self.weights, strict=True) if letters[i] == letter]
            self.by_letter[letter] = Pool([i for i, _ in kept], [w for _, w in kept])


def favourites(sources: list[int], targets: Pool, count: int, rng: Random) -> dict[int, list[int]]:
    """For each source word its `count` favourite followers, drawn by frequency, all different."""
    count = min(count, len(targets.ids))
    return {source: _distinct(targets, count, rng) for source in sources}


def _distinct(pool: Pool, count: int, rng: Random) -> list[int]:
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen[pool.draw(rng.random)] = None
    return list(chosen)
