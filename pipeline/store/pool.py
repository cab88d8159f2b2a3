"""Chunks in memory: what a reader draws its rows from, and the next of them read ahead."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.store.store import Store

Chunks = tuple[range, ...]


@dataclass(frozen=True)
class Pool:
    """Rows x (n, d) in the stored dtype, and their numbers in the store (n,)."""

    x: Tensor
    rows: NDArray[np.int64]


def load(store: Store, chunks: Chunks) -> Pool:
    """The rows of `chunks`, one after another; a single chunk is not copied."""
    rows = np.concatenate([np.arange(each.start, each.stop) for each in chunks])
    if len(chunks) == 1:
        return Pool(store.source.read(chunks[0].start, chunks[0].stop), rows)
    x = torch.empty(len(rows), store.d, dtype=store.source.dtype)
    filled = 0
    for each in chunks:
        x[filled : filled + len(each)] = store.source.read(each.start, each.stop)
        filled += len(each)
    return Pool(x, rows)


class Pools:
    """The current pool and, read by a thread meanwhile, the next: two pools in memory at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._current: tuple[Chunks, Pool] | None = None
        self._ahead: tuple[Chunks, Future[Pool]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-pool")

    def get(self, chunks: Chunks, then: Chunks) -> Pool:
        """The pool of `chunks`, while that of `then`, which will be asked for next, is being read."""
        if self._current is None or self._current[0] != chunks:
            self._current = None  # freed before another is made
            self._current = (chunks, self._take(chunks))
        if then != chunks and (self._ahead is None or self._ahead[0] != then):
            self._ahead = (then, self._thread.submit(load, self._store, then))
        return self._current[1]

    def _take(self, chunks: Chunks) -> Pool:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == chunks:
            return ahead[1].result()
        return load(self._store, chunks)
