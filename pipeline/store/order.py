"""In which order rows are read: pools of chunks, and rows within a pool, all in index space."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.store.rows import Chunks
from pipeline.store.store import Store

Layout = Literal["tokens", "pairs", "windows", "contexts"]
Mode = Literal[
    "tokens", "pairs", "windows", "contexts", "shuffled pairs", "shuffled windows", "shuffled contexts"
]
"""How a split is read: a layout, or its twin whose rows are random (`pool_source`)."""
Rows = NDArray[np.int64]


def layout(mode: Mode) -> Layout:
    """How the places of a batch's rows lie in the text, in truth or, for a twin, in name."""
    if mode == "shuffled pairs":
        return "pairs"
    if mode == "shuffled windows":
        return "windows"
    return "contexts" if mode == "shuffled contexts" else mode


def together(mode: Mode, window: int) -> int:
    """How many neighbouring rows are drawn together; contexts are drawn by themselves."""
    return {"pairs": 2, "windows": window}.get(layout(mode), 1)


def split_chunks(store: Store, split: str) -> list[range]:
    """The rows of `split`, one range per chunk it touches."""
    rows, step = store.split(split), store.source.chunk_rows
    first, last = rows.start // step, -(-rows.stop // step)
    return [
        range(max(rows.start, chunk * step), min(rows.stop, (chunk + 1) * step))
        for chunk in range(first, last)
    ]


def usable(store: Store, rows: range, together: int) -> NDArray[np.bool_]:
    """(rows,) bool: the rows that begin a run of `together` valid ones in a row, of one context and document.

    Runs overlap: each row can begin one.
    """
    valid = store.valid[rows.start : rows.stop]
    if together == 1:
        return valid
    document, position = store.document[rows.start : rows.stop], store.position[rows.start : rows.stop]
    goes_on = valid[:-1] & valid[1:] & (document[1:] == document[:-1]) & (position[1:] == position[:-1] + 1)
    begins, starts = np.zeros(len(rows), dtype=bool), max(len(rows) - together + 1, 0)
    begins[:starts] = np.logical_and.reduce([goes_on[i : i + starts] for i in range(together - 1)])
    return begins


def stream_length(store: Store, rows: range, together: int) -> int:
    """How many rows an epoch takes from `rows`: a row counts once for each run that it is in."""
    return int(usable(store, rows, together).sum()) * together


def cuts(context: Rows, mode: Layout, size: int) -> list[int]:
    """Where the parts of a batch among `size` processes begin, and its end.

    Equal parts; except in tokens mode none begins within a run of rows of one context, so that no
    pair and no context is taken apart. `context` (B,) of each row.
    """
    even = np.arange(size) * len(context) // size
    if mode != "tokens":
        begins = np.append(0, np.flatnonzero(context[1:] != context[:-1]) + 1)
        even = begins[np.searchsorted(begins, even, side="right") - 1]
    return [*map(int, even), len(context)]


def pools(chunks: list[range], pool_rows: int, seed: int, epoch: int) -> list[Chunks]:
    """The chunks of one epoch in pools of about `pool_rows` rows or more, in random order.

    One pool (the split fits in memory) keeps the chunks in their own order, so that it is read once.
    """
    total = sum(len(chunk) for chunk in chunks)
    number = min(max(1, total // pool_rows), len(chunks))
    if number == 1:
        return [tuple(chunks)]
    order = np.random.default_rng([seed, epoch, 0, 1]).permutation(len(chunks))
    return [tuple(chunks[int(index)] for index in part) for part in np.array_split(order, number)]


def pool_order(store: Store, pool: Chunks, mode: Layout, together: int, rng: np.random.Generator) -> Rows:
    """The order in which a pool's rows are read, as offsets into the pool.

    tokens: the valid rows, shuffled. pairs and windows: runs of `together` rows, shuffled, each as offsets
    s, s + 1, ... contexts: the contexts, shuffled, each with its valid rows in order.
    """
    picked = np.flatnonzero(np.concatenate([usable(store, rows, together) for rows in pool]))
    if mode != "contexts":
        return (rng.permutation(picked)[:, None] + np.arange(together)).reshape(-1)
    # chunks are whole contexts, so a pool is one too
    contexts = sum(len(rows) for rows in pool) // store.context_length
    rank = rng.permutation(contexts)[picked // store.context_length]
    return picked[np.argsort(rank, kind="stable")]


def pool_source(order: Rows, rng: np.random.Generator) -> Rows:
    """Of a twin: which row stands at each place of `order`, one that is drawn from the whole pool.

    A permutation of `order` itself, so that an epoch encodes each row exactly as often as the true
    reading does, and nothing but who stands beside whom differs.
    """
    return rng.permutation(order)
