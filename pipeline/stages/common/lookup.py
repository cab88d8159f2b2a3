"""The token lookup (pipeline/metrics/common/lookup.py), fitted on the train split of a store."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.metrics.common.lookup import Lookup, fit
from pipeline.store import Batch, Store
from pipeline.store.blocks import blocks

CONTEXTS = 64
"""Contexts read at a time."""


def lookup_of(store: Store, wanted: Tensor) -> Lookup:
    """The mean activations of the ids among `wanted`, over the valid rows of the train split of `store`.

    A memo of it is keyed by the hash of the store's attributes, which hold the train split's mean.
    """
    read = blocks(store, CONTEXTS, torch.device("cpu"), "train")
    return fit(((block.x, tokens_of(store, block)) for block in read), wanted, store.d)


def tokens_of(store: Store, block: Batch) -> Tensor:
    """(B,) int64: the token id of each row of `block`."""
    row = block.context * store.context_length + block.position
    return torch.from_numpy(store.tokens[row.cpu().numpy()]).long()
