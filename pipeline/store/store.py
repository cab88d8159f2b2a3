"""A finished activation store, opened read-only, or the same thing built from tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.errors import GroupNotFoundError

from pipeline.console.errors import BadInput
from pipeline.store.codecs import quiet
from pipeline.store.moments import Moments
from pipeline.store.remote import keys, open_remote
from pipeline.store.rows import Chunks, DiskRows, MemoryRows, Pool, Rows
from pipeline.store.schema import STORED_DTYPE, Attrs, from_json

Ints = np.ndarray[Any, np.dtype[np.int32]]


class Store:
    """N = C * T rows of d activations in the model's own units, and where each row stands in the text.

    `tokens`, `document`, `position`: (N,) int32. `valid`: (N,) bool, False for BOS, EOS and padding.
    Row r is position r % T of context r // T.
    """

    def __init__(self, attrs: Attrs, tokens: Ints, document: Ints, position: Ints, source: Rows) -> None:
        self.attrs = attrs
        self.tokens, self.document, self.position = tokens, document, position
        self.valid = ~np.isin(tokens, attrs.special_ids)
        self.source = source
        self.held: dict[Chunks, Pool] = {}  # by chunks: what `hold` has read

    @property
    def d(self) -> int:
        """Width of a row."""
        return self.attrs.d

    @property
    def count(self) -> int:
        """Number of rows, special ones included."""
        return self.attrs.count

    @property
    def context_length(self) -> int:
        """Rows per context, T."""
        return self.attrs.context_length

    def split(self, name: str) -> range:
        """The rows of split `name`; raises BadInput when there is no such split."""
        if name not in self.attrs.splits:
            raise BadInput(f"the store has no split `{name}`; it has {', '.join(self.attrs.splits)}.")
        start, stop = self.attrs.splits[name]
        return range(start * self.context_length, stop * self.context_length)

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows [start, stop) as (rows, d) float32; do not write to it."""
        return self.source.read(start, stop).float()

    @classmethod
    def from_tensors(
        cls,
        x: Tensor,
        document: Tensor | None = None,
        position: Tensor | None = None,
        *,
        tokens: Tensor | None = None,
        special_ids: Sequence[int] = (),
        context_length: int | None = None,
        splits: Mapping[str, tuple[int, int]] | None = None,
        chunk_contexts: int | None = None,
        **header: Any,
    ) -> Self:
        """A store in memory over x (N, d), which is not copied.

        Left out: `context_length` is max(position) + 1 (or N without positions), `position` counts
        within contexts, `document` is the context, no token is special, all contexts are `train`,
        and the store is one chunk. `header` takes further attributes (model_id, layer, ...).
        Raises ValueError when N is not a whole number of contexts.
        """
        count, d = x.shape
        length = context_length or (count if position is None else int(position.max()) + 1)
        if count % length:
            raise ValueError(f"{count} rows are no whole number of contexts of {length}")
        contexts = count // length
        rows = torch.arange(count)
        attrs = Attrs(
            **(_NOWHERE | header), d=d, context_length=length, special_ids=sorted(special_ids),
            splits={name: list(ends) for name, ends in (splits or {"train": (0, contexts)}).items()},
            logical_dtype="bfloat16" if x.dtype == torch.bfloat16 else "float32", codec="none",
            chunk_contexts=chunk_contexts or contexts, count=count, chunks=[],
            train_rows=0, mean=[0.0] * d, mean_squared_norm=0.0, scale=1.0,
        )  # fmt: skip
        store = cls(
            attrs,
            _ints(torch.full((count,), -1) if tokens is None else tokens),
            _ints(rows // length if document is None else document),
            _ints(rows % length if position is None else position),
            MemoryRows(x, attrs.chunk_contexts * length),
        )
        store.attrs = attrs.model_copy(update=statistics(store))
        return store


_NOWHERE = {
    "model_id": "tensors", "revision": None, "weights_sha256": "", "tokenizer_hash": "",
    "layer": 0, "hook_name": "tensors",
}  # fmt: skip


def _ints(values: Tensor) -> Ints:
    return values.numpy().astype(np.int32)


def statistics(store: Store) -> dict[str, Any]:
    """The statistics of the attributes, over valid train rows in chunk order.

    One pass over the whole store, which also proves that every chunk can be read; raises BadInput
    for a NaN or infinity in any row, and when the train split has no valid row.
    """
    train = store.split("train")
    moments = Moments(store.d)
    step = store.source.chunk_rows
    for start in range(0, store.count, step):
        x = store.rows(start, min(start + step, store.count))
        if not bool(torch.isfinite(x).all()):
            bad = start + int((~torch.isfinite(x)).any(1).nonzero()[0])
            raise BadInput(
                f"row {bad} of the activations (context {bad // store.context_length}, layer "
                f"{store.attrs.layer} of {store.attrs.model_id}) is NaN or infinite; choose another "
                "layer or dtype, or check the model's weights."
            )
        rows = np.arange(start, start + len(x))
        used = store.valid[rows] & (rows >= train.start) & (rows < train.stop)
        moments.add(x[torch.from_numpy(used)])
    if moments.rows == 0:
        raise BadInput("the train split has no row that is not a special token; give it more text.")
    if moments.mean_squared_norm == 0:
        raise BadInput(f"all activations of layer {store.attrs.layer} are zero; check the model's weights.")
    return {
        "train_rows": moments.rows,
        "mean": moments.mean.tolist(),
        "mean_squared_norm": moments.mean_squared_norm,
        "scale": moments.scale,
    }


def open_store(path: Path | str) -> Store:
    """The finished store at `path`; raises BadInput when it is absent, incomplete or altered.

    A string is the URL of a store on object storage, `s3://bucket/folder`, read chunk by chunk as it is
    needed; endpoint and credentials come from the environment.
    """
    try:
        group = open_remote(path) if isinstance(path, str) else zarr.open_group(path, mode="r")
    except (GroupNotFoundError, FileNotFoundError):
        raise BadInput(f"{path} holds no activation store; run `dvc repro harvest`.") from None
    attrs = from_json(dict(group.attrs), str(path))
    present = keys(path) if isinstance(path, str) else {key for key in attrs.chunks if (path / key).is_file()}
    missing = [key for key in attrs.chunks if key not in present]
    if missing:
        raise BadInput(
            f"{path} lacks {len(missing)} of its {len(attrs.chunks)} chunks ({missing[0]}, ...); "
            "run `dvc checkout` or `dvc repro harvest`."
        )
    with quiet():
        return open_arrays(group, attrs, path)


def open_arrays(group: zarr.Group, attrs: Attrs, path: Path | str) -> Store:
    """The store over `group`'s arrays; raises BadInput when their shape or dtype is not the attributes'."""
    count, stored = (attrs.count,), STORED_DTYPE[attrs.logical_dtype]
    array = _array(group, "activations", (attrs.count, attrs.d), stored, path)
    index = [_array(group, name, count, "int32", path) for name in ("tokens", "document", "position")]
    try:
        tokens, document, position = (np.asarray(each[:]) for each in index)
    except (ValueError, RuntimeError, OSError) as error:
        raise BadInput(
            f"{path} has a damaged index ({str(error).splitlines()[0]}); run `dvc repro harvest`."
        ) from None
    return Store(attrs, tokens, document, position, DiskRows(array, attrs.logical_dtype, path))


def _array(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: str, path: Path | str) -> zarr.Array:
    array = group.get(name)
    if not isinstance(array, zarr.Array) or array.shape != shape or str(array.dtype) != dtype:
        instead = f"{array.shape} {array.dtype}" if isinstance(array, zarr.Array) else "nothing"
        raise BadInput(
            f"{path}/{name} should be {shape} {dtype} but is {instead}; remove the store and run "
            "`dvc checkout` or `dvc repro harvest`."
        )
    return array
