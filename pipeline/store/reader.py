"""Endless batches of a split, shuffled by seed, resumable at any batch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.store.order import (
    Mode,
    cuts,
    layout,
    pool_order,
    pool_source,
    pools,
    split_chunks,
    stream_length,
    together,
)
from pipeline.store.past import past
from pipeline.store.pool import Pools, load
from pipeline.store.rows import Chunks
from pipeline.store.store import Store

POOL_ROWS = 2**19
"""Rows held in memory when a split is larger than that; batches are shuffled within a pool."""


@dataclass(frozen=True)
class Batch:
    """B rows and where they stand in the text; for a shuffled mode where they are said to stand."""

    x: Tensor  # (B, d) float32, the model's own units, contiguous
    document: Tensor  # (B,) int64
    position: Tensor  # (B,) int64, position in its context
    context: Tensor  # (B,) int64, index of the context in the store

    @cached_property
    def past(self) -> Tensor:
        """(B,) int64 on the device of x: how many rows right above each are the tokens right before it.

        Of rows in the order of the text.
        """
        return past(self.context, self.document, self.position).to(self.x.device)

    def to(self, device: torch.device) -> Batch:
        """On `device`."""
        if self.x.device == device:
            return self
        moved = (getattr(self, each.name).to(device, non_blocking=True) for each in fields(self))
        return Batch(*moved)


class Reader:
    """Batches of exactly `batch` rows, epoch after epoch.

    The reader is an endless stream of rows cut every `batch` rows: nothing is dropped at the end of a
    pool or an epoch, a batch may hold the end of one and the beginning of the next. An epoch gives
    every valid row once (tokens, contexts), every pair of neighbours once (pairs: rows 2j, 2j + 1) or every
    run of `window` neighbours once (windows). The stream is a function of the store, split, mode and seed, so
    the state is one number.

    `shuffled pairs`, `shuffled windows` and `shuffled contexts` are twins: the same documents, positions and
    contexts in the same order, but the rows `x` are the pool's, permuted. An objective is told of neighbours
    that are none, and encodes the same rows as often.

    With `part` (r, n) it gives the r-th of n parts of every batch, in whole pairs and whole contexts: what
    one of several processes reads.
    """

    def __init__(
        self, store: Store, split: str, mode: Mode, batch: int, seed: int, pool_rows: int = POOL_ROWS,
        part: tuple[int, int] = (0, 1), window: int = 1,
    ) -> None:  # fmt: skip
        self._together = together(mode, window)
        if batch % self._together:
            raise BadInput(
                f"a batch of {batch} rows cannot hold whole {layout(mode)}; make it a multiple of "
                f"{self._together}."
            )
        self.store, self.mode, self.batch, self.seed, self.pool_rows = store, mode, batch, seed, pool_rows
        if layout(mode) == "contexts" and part[1] > 1 and batch < part[1] * store.context_length:
            raise BadInput(_too_few(batch, part[1]))
        self.part = part
        self._chunks = split_chunks(store, split)
        self._lengths = {rows.start: stream_length(store, rows, self._together) for rows in self._chunks}
        self.epoch_rows = sum(self._lengths.values())
        if self.epoch_rows < batch:
            raise BadInput(
                f"split `{split}` gives {self.epoch_rows} rows in mode {mode}, fewer than one batch of "
                f"{batch}; lower the batch or harvest more text."
            )
        self._pools = Pools(store)
        self.restore({"rows": 0})

    def next(self) -> Batch:
        """The next batch, or the reader's part of it."""
        if self._offset + self.batch <= len(self._order):
            span = slice(self._offset, self._offset + self.batch)
            self._offset += self.batch
            self._consumed += self.batch
            rows = self._pool.rows[self._order[span]]
            here = self._here(rows)
            x = self._pool.x.index_select(0, torch.from_numpy(self._source[span][here]))
            return self._batch(x, rows[here])
        return self._next_over_pools()

    def _here(self, rows: np.ndarray) -> slice:
        """Which of a batch's `rows` are in the reader's part."""
        index, parts = self.part
        if parts == 1:
            return slice(None)
        ends = cuts(rows // self.store.context_length, layout(self.mode), parts)
        if len(set(ends)) < len(ends):
            raise BadInput(_too_few(self.batch, parts))
        return slice(ends[index], ends[index + 1])

    def _next_over_pools(self) -> Batch:
        """A batch of the end of one pool and the beginning of the next."""
        pieces: list[tuple[Tensor, np.ndarray]] = []
        needed = self.batch
        while needed:
            if self._offset == len(self._order):
                self._enter(self._number + 1, 0)
                continue
            span = slice(self._offset, min(self._offset + needed, len(self._order)))
            x = self._pool.x.index_select(0, torch.from_numpy(self._source[span]))
            pieces.append((x, self._pool.rows[self._order[span]]))
            self._offset += len(x)
            needed -= len(x)
        self._consumed += self.batch
        x, rows = torch.cat([x for x, _ in pieces]), np.concatenate([rows for _, rows in pieces])
        here = self._here(rows)
        return self._batch(x[here], rows[here])

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
        here = [self.seed, self._epoch, pool]
        rng = np.random.default_rng([*here, 2])
        self._order = pool_order(self.store, self._plan[pool], layout(self.mode), self._together, rng)
        self._source = self._order  # which row is given for each place
        if layout(self.mode) != self.mode:
            self._source = pool_source(self._order, np.random.default_rng([*here, 3]))

    def _batch(self, x: Tensor, rows: np.ndarray) -> Batch:
        length = self.store.context_length
        return Batch(x.float(), _longs(self.store.document[rows]), _longs(self.store.position[rows]),
                     _longs(rows // length))  # fmt: skip


def hold(store: Store, split: str) -> None:
    """Read `split` for all readers of `store`, those of forked processes too, if it fits in one pool."""
    plan = pools(split_chunks(store, split), POOL_ROWS, 0, 0)
    if len(plan) == 1:
        store.held[plan[0]] = load(store, plan[0])


def _too_few(batch: int, parts: int) -> str:
    return (
        f"a batch of {batch} rows has too few contexts to be shared by {parts} processes; "
        "enlarge the batch or lower train.world_size."
    )


def _longs(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))
