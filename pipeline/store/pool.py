"""Chunks in memory: what a reader draws its rows from, and the next of them read ahead."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from pipeline.store.rows import Chunks, Pool
from pipeline.store.store import Store


def load(store: Store, chunks: Chunks, spare: Tensor | None = None) -> Pool:
    """The rows of `chunks`, one after another, in the memory `spare` if they fit; one chunk is not copied."""
    rows = np.concatenate([np.arange(each.start, each.stop) for each in chunks])
    if len(chunks) == 1:
        return Pool(store.source.read(chunks[0].start, chunks[0].stop), rows)
    if spare is None or len(spare) < len(rows):
        # whole chunks' worth, so that a later pool with fewer short chunks fits too
        spare = torch.empty(len(chunks) * store.source.chunk_rows, store.d, dtype=store.source.dtype)
    x = spare[: len(rows)]
    filled = 0
    for each in chunks:
        x[filled : filled + len(each)] = store.source.read(each.start, each.stop)
        filled += len(each)
    return Pool(x, rows, spare)


class Pools:
    """The current pool and, read by a thread meanwhile, the next: two pools in memory at most.

    Memory of a pool that was read through is that of the next but one: new memory of this size would be
    mapped page by page each time (docs/harvest.md).
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._current: tuple[Chunks, Pool] | None = None
        self._ahead: tuple[Chunks, Future[Pool]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-pool")
        self._spare: Tensor | None = None

    def get(self, chunks: Chunks, then: Chunks) -> Pool:
        """The pool of `chunks`, while that of `then`, which will be asked for next, is being read."""
        if chunks in self._store.held:
            return self._store.held[chunks]
        if self._current is None or self._current[0] != chunks:
            self._free()
            self._current = (chunks, self._take(chunks))
        if then != chunks and (self._ahead is None or self._ahead[0] != then):
            self._ahead = (then, self._thread.submit(load, self._store, then, self._lend()))
        return self._current[1]

    def _free(self) -> None:
        """Give up the current pool, before another is made; batches are copies, so nobody reads it."""
        current, self._current = self._current, None
        if current is not None:
            self._spare = current[1].whole

    def _lend(self) -> Tensor | None:
        spare, self._spare = self._spare, None
        return spare

    def _take(self, chunks: Chunks) -> Pool:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == chunks:
            return ahead[1].result()
        return load(self._store, chunks, self._lend())
