"""Endless batches of a split, shuffled by seed, resumable at any batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.store.order import Mode, pool_order, pools, split_chunks, stream_length
from pipeline.store.pool import Chunks, Pools
from pipeline.store.store import Store

POOL_ROWS = 2**19
"""Rows held in memory when a split is larger than that; batches are shuffled within a pool."""


@dataclass(frozen=True)
class Batch:
    """B rows and where they stand in the text."""

    x: Tensor  # (B, d) float32, the model's own units, contiguous
    document: Tensor  # (B,) int64
    position: Tensor  # (B,) int64, position in its context
    context: Tensor  # (B,) int64, index of the context in the store


class Reader:
    """Batches of exactly `batch` rows, epoch after epoch.

    The reader is an endless stream of rows cut every `batch` rows: nothing is dropped at the end of a
    pool or an epoch, a batch may hold the end of one and the beginning of the next. An epoch gives
    every valid row once (tokens, contexts) or every pair of neighbours once (pairs: rows 2j, 2j + 1).
    The stream is a function of the store, split, mode and seed, so the state is one number.
    """

    def __init__(
        self, store: Store, split: str, mode: Mode, batch: int, seed: int, pool_rows: int = POOL_ROWS
    ) -> None:
        if mode == "pairs" and batch % 2:
            raise BadInput(f"a batch of {batch} rows cannot hold whole pairs; make it even.")
        self.store, self.mode, self.batch, self.seed, self.pool_rows = store, mode, batch, seed, pool_rows
        self._chunks = split_chunks(store, split)
        self._lengths = {rows.start: stream_length(store, rows, mode) for rows in self._chunks}
        self.epoch_rows = sum(self._lengths.values())
        if self.epoch_rows < batch:
            raise BadInput(
                f"split `{split}` gives {self.epoch_rows} rows in mode {mode}, fewer than one batch of "
                f"{batch}; lower the batch or harvest more text."
            )
        self._pools = Pools(store)
        self.restore({"rows": 0})

    def next(self) -> Batch:
        """The next batch."""
        pieces: list[tuple[Tensor, np.ndarray]] = []
        needed = self.batch
        while needed:
            if self._offset == len(self._order):
                self._enter(self._number + 1, 0)
                continue
            taken = self._order[self._offset : self._offset + needed]
            pieces.append((self._pool.x.index_select(0, torch.from_numpy(taken)), self._pool.rows[taken]))
            self._offset += len(taken)
            needed -= len(taken)
        self._consumed += self.batch
        return self._batch([x for x, _ in pieces], np.concatenate([rows for _, rows in pieces]))

    def state(self) -> dict[str, Any]:
        """Where the stream stands: JSON, for `restore`."""
        return {"rows": self._consumed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        self._consumed = int(state["rows"])
        self._epoch, offset = divmod(self._consumed, self.epoch_rows)
        self._plan = self._epoch_pools(self._epoch)
        pool = 0
        while offset >= (length := sum(self._lengths[rows.start] for rows in self._plan[pool])):
            offset -= length
            pool += 1
        self._enter(pool, offset)

    def _epoch_pools(self, epoch: int) -> list[Chunks]:
        return pools(self._chunks, self.pool_rows, self.seed, epoch)

    def _enter(self, pool: int, offset: int) -> None:
        if pool == len(self._plan):
            self._epoch, self._plan, pool = self._epoch + 1, self._epoch_pools(self._epoch + 1), 0
        last = pool + 1 == len(self._plan)
        then = self._epoch_pools(self._epoch + 1)[0] if last else self._plan[pool + 1]
        self._number, self._offset = pool, offset
        self._pool = self._pools.get(self._plan[pool], then)
        rng = np.random.default_rng([self.seed, self._epoch, pool, 2])
        self._order = pool_order(self.store, self._plan[pool], self.mode, rng)

    def _batch(self, pieces: list[Tensor], rows: np.ndarray) -> Batch:
        x = (pieces[0] if len(pieces) == 1 else torch.cat(pieces)).float()
        length = self.store.context_length
        return Batch(x, _longs(self.store.document[rows]), _longs(self.store.position[rows]),
                     _longs(rows // length))  # fmt: skip


def _longs(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))
