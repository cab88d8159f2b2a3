"""Neighbouring tokens' codes in the order of the text and in random order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction import persistence
from pipeline.metrics.reconstruction.entries import Entries, permuted
from pipeline.metrics.reconstruction.persistence import SHUFFLED
from pipeline.metrics.reconstruction.temporal import Temporal, control, permutation
from pipeline.numbers.number import Number
from pipeline.sae.core.codes import Codes
from pipeline.sae.core.inference import SAE
from pipeline.store import Batch


class Orders:
    """The temporal counts of one encoder with n latents, of which `dense` (n,) are dense, in both orders.

    Between `add` and `shuffle` it holds its active entries, 16 bytes each.
    """

    def __init__(self, n: int, window: int, dense: Tensor | None = None) -> None:
        self.ordered, self.random = (Temporal(n, window, dense) for _ in range(2))
        self._held: list[Entries] = []

    def add(self, block: Batch, codes: Codes) -> None:
        """Count a block of whole contexts in the order of the text."""
        entries = Entries.of(codes)
        self.ordered.add(block.x, entries, block.document, block.position, block.context)
        self._held.append(Entries(entries.key, entries.value, entries.n))  # without what it has worked out

    def shuffle(self, shuffled: Shuffled) -> None:
        """Count the blocks added so far with their tokens, which `shuffled` holds, in random order."""
        sizes = [len(block.x) for block in shuffled.blocks]
        for block, entries in zip(shuffled.blocks, permuted(self._held, sizes, shuffled.order), strict=True):
            self.random.add(block.x, entries, block.document, block.position, block.context)
        self._held.clear()

    def values(self, plan: Resampling) -> dict[str, Number]:
        """The metrics of both orders and what order adds."""
        return {
            **self.ordered.values(plan),
            **control(self.random.values(plan)),
            **persistence.values(self.ordered.sums.table(), self.random.sums.table(), plan),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per context of `persistence.TABLE`."""
        for row, other in zip(self.ordered.sums.rows(), self.random.sums.rows(), strict=True):
            context = row.pop("context")
            yield {"context": context, **row} | {
                f"{name}{SHUFFLED}": value for name, value in other.items() if name != "context"
            }


class Shuffled:
    """Blocks with the rows of all of them permuted among their places: `order` (N,) says which goes where."""

    def __init__(self, held: Sequence[Batch], seed: int) -> None:
        x = torch.cat([block.x for block in held]) if held else torch.zeros(0, 1)
        self.order = permutation(len(x), seed)
        mixed = x[self.order.to(x.device)].split([len(block.x) for block in held]) if held else ()
        self.blocks = [replace(block, x=rows) for block, rows in zip(held, mixed, strict=True)]


def steadiness(sae: SAE, blocks: Iterable[Batch], seed: int = 0) -> dict[str, Number]:
    """The temporal metrics of `sae` on `blocks` of whole contexts, without its dense latents apart."""
    held, orders = list(blocks), Orders(sae.n, window=128)
    for block in held:
        orders.add(block, sae.encode(block.x, block.past))
    orders.shuffle(Shuffled(held, seed))
    return orders.values(Resampling(100, seed))
