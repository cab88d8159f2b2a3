"""Whole contexts of a split, in order: how evaluations read a store."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pipeline.store.reader import Batch
from pipeline.store.store import Store


def blocks(store: Store, contexts: int, device: torch.device, split: str = "test") -> Iterator[Batch]:
    """The valid rows of a split, `contexts` whole contexts at a time."""
    rows, length = store.split(split), store.context_length
    for start in range(rows.start, rows.stop, contexts * length):
        stop = min(start + contexts * length, rows.stop)
        keep = np.flatnonzero(store.valid[start:stop])
        index = torch.from_numpy(keep)
        yield Batch(
            x=store.rows(start, stop)[index].to(device),
            document=torch.from_numpy(store.document[start + keep]).long(),
            position=torch.from_numpy(store.position[start + keep]).long(),
            context=(start + index) // length,
        )
