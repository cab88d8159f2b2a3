"""Write a store chunk by chunk, in any order, over as many interrupted runs as it takes."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.codecs import Crc32cCodec

from pipeline.console.errors import BadInput
from pipeline.store.codecs import codecs, quiet
from pipeline.store.rows import DiskRows, chunk_key
from pipeline.store.schema import (
    FILL,
    INDEX_CHUNK_ROWS,
    STORED_DTYPE,
    TORCH_DTYPE,
    Attrs,
    Header,
    from_json,
    to_json,
)
from pipeline.store.store import Ints, open_arrays, statistics


class Writer:
    """A store in the making at `path`; reopening the same `path` goes on where it stopped.

    A chunk file is either absent or complete (it is renamed into place), so a process killed at any
    point loses at most the chunk it was writing. `tokens`, `document`: (C, T).
    """

    def __init__(self, path: Path, header: Header, tokens: Ints, document: Ints) -> None:
        self.path, self.header = path, header
        self.contexts, length = tokens.shape
        if length != header.context_length:
            raise ValueError(f"contexts of {length} tokens, not {header.context_length}")
        self.chunks = -(-self.contexts // header.chunk_contexts)
        self._rows = self.contexts * length
        with quiet():
            self._guard(self._create, tokens, document)

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk without compression."""
        return int(np.prod(self._array.chunks)) * TORCH_DTYPE[self.header.logical_dtype].itemsize

    def span(self, chunk: int) -> range:
        """The contexts of `chunk`."""
        start = chunk * self.header.chunk_contexts
        return range(start, min(start + self.header.chunk_contexts, self.contexts))

    def done(self, chunk: int) -> bool:
        """Whether `chunk` is already written and reads back whole."""
        if not (self.path / self._key(chunk)).is_file():
            return False
        try:
            DiskRows(self._array, self.header.logical_dtype, self.path).chunk(chunk)
        except BadInput:
            return False
        return True

    def write(self, chunk: int, x: Tensor) -> None:
        """Write `chunk` whole: x (contexts, T, d) of its contexts.

        Raises BadInput when x has a NaN or infinity or the disk is full, ValueError for a wrong shape.
        """
        span = self.span(chunk)
        if x.shape != (len(span), self.header.context_length, self.header.d):
            raise ValueError(f"chunk {chunk} cannot be {tuple(x.shape)}")
        if not bool(torch.isfinite(x).all()):
            raise BadInput(
                f"the activations of layer {self.header.layer} of {self.header.model_id} are NaN or infinite "
                f"in contexts {span.start} to {span.stop - 1}; check the model's weights and the dtype."
            )
        rows = x.reshape(-1, self.header.d).to("cpu", TORCH_DTYPE[self.header.logical_dtype])
        values = rows.view(torch.uint16).numpy() if rows.dtype == torch.bfloat16 else rows.numpy()
        start = span.start * self.header.context_length
        self._guard(self._array.__setitem__, slice(start, start + len(values)), values)

    def finish(self) -> Attrs:
        """Verify the whole store and write its attributes, which make it a store.

        One pass over all chunks: present, checksums right, finite; statistics in chunk order. Raises
        BadInput otherwise.
        """
        for leftover in sorted(self.path.rglob("*.partial")):
            leftover.unlink()
        keys = [self._key(chunk) for chunk in range(self.chunks)] + [
            chunk_key(self._ensure(name), chunk)
            for name in ("tokens", "document", "position")
            for chunk in range(-(-self._rows // INDEX_CHUNK_ROWS))
        ]
        missing = [key for key in keys if not (self.path / key).is_file()]
        if missing:
            raise BadInput(f"{self.path} lacks chunk {missing[0]}; run the command again to write it.")
        draft = Attrs(
            **self.header.model_dump(), count=self._rows, chunks=keys, train_rows=0,
            mean=[0.0] * self.header.d, mean_squared_norm=0.0, scale=1.0,
        )  # fmt: skip
        with quiet():
            store = open_arrays(zarr.open_group(self.path, mode="r"), draft, self.path)
        attrs = draft.model_copy(update=statistics(store))
        self._guard(self._group.attrs.put, to_json(attrs))
        return from_json(dict(zarr.open_group(self.path, mode="r").attrs), str(self.path))

    def _key(self, chunk: int) -> str:
        return chunk_key(self._array, chunk)

    def _create(self, tokens: Ints, document: Ints) -> None:
        self._group = zarr.open_group(self.path, mode="a")
        length = self.header.context_length
        position = np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape)
        for name, values in (("tokens", tokens), ("document", document), ("position", position)):
            self._index(name, np.ascontiguousarray(values.reshape(-1), dtype=np.int32))
        self._array = self._ensure(
            "activations",
            shape=(self._rows, self.header.d),
            # Zarr pads an edge chunk to full size, so a chunk is never longer than the store
            chunks=(min(self.header.chunk_contexts, self.contexts) * length, self.header.d),
            dtype=STORED_DTYPE[self.header.logical_dtype],
            fill_value=FILL[self.header.logical_dtype],
            **codecs(self.header.codec, torch.finfo(TORCH_DTYPE[self.header.logical_dtype]).bits // 8),
        )

    def _index(self, name: str, values: Ints) -> None:
        array = self._ensure(
            name, shape=values.shape, dtype="int32", chunks=(min(INDEX_CHUNK_ROWS, self._rows),),
            fill_value=-1, compressors=(Crc32cCodec(),),
        )  # fmt: skip
        array[:] = values

    def _ensure(self, name: str, **how: Any) -> zarr.Array:
        array = self._group.get(name)
        if isinstance(array, zarr.Array):
            return array
        # chunks beside one another, not each in a folder of its own, which DVC walks for every stage
        flat: dict[str, Any] = {"name": "default", "separator": "."}
        return self._group.create_array(
            name, config={"write_empty_chunks": True}, chunk_key_encoding=flat, **how
        )

    def _guard(self, write: Any, *arguments: Any) -> None:
        try:
            write(*arguments)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise BadInput(
                f"the disk of {self.path} is full; free some space and run the command again (finished "
                "chunks are kept)."
            ) from None
