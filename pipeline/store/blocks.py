"""Whole contexts of a split, in order: how evaluations read a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from pipeline.store.reader import Batch
from pipeline.store.store import Store


def blocks(
    store: Store, contexts: int, device: torch.device, split: str = "test", tokens: int | None = None
) -> Iterator[Batch]:
    """The valid rows of a split, `contexts` whole contexts at a time.

    With `tokens`: only as many of these blocks, evenly spread over the split, as hold so many rows.
    """
    rows, step = store.split(split), contexts * store.context_length
    starts, length = range(rows.start, rows.stop, step), store.context_length
    for start in starts if tokens is None else evenly(starts, -(-tokens // step)):
        stop = min(start + step, rows.stop)
        keep = np.flatnonzero(store.valid[start:stop])
        index = torch.from_numpy(keep)
        yield Batch(
            x=store.rows(start, stop)[index].to(device),
            document=torch.from_numpy(store.document[start + keep]).long(),
            position=torch.from_numpy(store.position[start + keep]).long(),
            context=(start + index) // length,
        )


def rows_at(store: Store, rows: np.ndarray) -> Batch:
    """The rows of the ascending numbers `rows` (B,), at least one."""
    index = torch.from_numpy(rows)
    return Batch(
        x=store.rows(int(rows[0]), int(rows[-1]) + 1)[index - rows[0]],
        document=torch.from_numpy(store.document[rows]).long(),
        position=torch.from_numpy(store.position[rows]).long(),
        context=index // store.context_length,
    )


def evenly(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of `values`, evenly spaced."""
    count = min(count, len(values))
    return [values[index * len(values) // count] for index in range(count)]
