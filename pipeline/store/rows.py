"""Where a store's rows come from: a tensor in memory or the chunks of a Zarr array."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.store.schema import TORCH_DTYPE, Dtype

Chunks = tuple[range, ...]


@dataclass(frozen=True)
class Pool:
    """Rows x (n, d) in the stored dtype, and their numbers in the store (n,)."""

    x: Tensor
    rows: NDArray[np.int64]
    whole: Tensor | None = None  # the memory that x is the beginning of, where it is the pool's own


class Rows(Protocol):
    """Rows (N, d) that are read in ranges, best by whole chunks of `chunk_rows`."""

    chunk_rows: int
    dtype: torch.dtype

    def read(self, start: int, stop: int) -> Tensor:
        """Rows [start, stop) in the stored dtype; may share memory with the store, so do not write to it."""
        ...


class MemoryRows:
    """Rows of a tensor."""

    def __init__(self, x: Tensor, chunk_rows: int) -> None:
        self._x, self.chunk_rows, self.dtype = x, chunk_rows, x.dtype

    def read(self, start: int, stop: int) -> Tensor:
        """A view of rows [start, stop)."""
        return self._x[start:stop]


def chunk_key(array: zarr.Array, chunk: int) -> str:
    """Where chunk number `chunk` along the rows of `array` lies, relative to the store."""
    place = (chunk, *[0] * (len(array.shape) - 1))
    return f"{array.path}/{array.metadata.encode_chunk_key(place)}"


class DiskRows:
    """Rows of a Zarr array; the last chunk is kept, so that small steps decode each chunk once."""

    def __init__(self, array: zarr.Array, dtype: Dtype, where: Path | str) -> None:
        self._array, self._where = array, where
        self.dtype = TORCH_DTYPE[dtype]
        self.chunk_rows = int(array.chunks[0])
        self._kept: tuple[int, Tensor] | None = None

    def read(self, start: int, stop: int) -> Tensor:
        """Rows [start, stop); raises BadInput naming a chunk that cannot be read."""
        if start >= stop:
            return torch.empty(0, self._array.shape[1], dtype=self.dtype)
        pieces = [
            self.chunk(index)[max(start - index * self.chunk_rows, 0) : stop - index * self.chunk_rows]
            for index in range(start // self.chunk_rows, (stop - 1) // self.chunk_rows + 1)
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def chunk(self, index: int) -> Tensor:
        """Chunk `index` (rows, d)."""
        kept = self._kept  # taken once, because a reader's prefetch thread reads here too
        if kept is None or kept[0] != index:
            self._kept = kept = (index, self._decode(index))
        return kept[1]

    def _decode(self, index: int) -> Tensor:
        start = index * self.chunk_rows
        try:
            values = np.asarray(self._array[start : start + self.chunk_rows])
        except (ValueError, RuntimeError, OSError) as error:
            # a checksum that does not match, a truncated file, a file the codec cannot decode
            raise BadInput(
                f"{self._where}/{chunk_key(self._array, index)} is damaged ({str(error).splitlines()[0]}); "
                "remove the store and run `dvc checkout` or `dvc repro harvest`."
            ) from None
        return torch.from_numpy(values).view(self.dtype)
