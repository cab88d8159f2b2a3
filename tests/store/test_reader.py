"""Properties of the reader that training relies on, over random shapes, chunkings and batch sizes."""

from __future__ import annotations

import json
import weakref
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.store import Batch, Reader, Store, open_store, pool
from tests.store import made

TRUE = ["tokens", "pairs", "windows", "contexts"]
TWINS = {"shuffled pairs": "pairs", "shuffled windows": "windows", "shuffled contexts": "contexts"}
MODES = [*TRUE, *TWINS]


@dataclass(frozen=True)
class Case:
    """A store, and how it is read."""

    contexts: int
    length: int
    chunk_contexts: int
    pool_rows: int
    batch: int
    seed: int

    @property
    def window(self) -> int:
        """Rows of a window: whole ones make up a batch."""
        return 3 if self.batch % 3 == 0 else 2

    def store(self) -> Store:
        return made.in_memory(self.contexts, self.length, self.chunk_contexts, self.seed)

    def reader(self, mode: Any, store: Store | None = None, split: str = "train") -> Reader:
        of, window = store or self.store(), self.window
        return Reader(of, split, mode, self.batch, self.seed, self.pool_rows, window=window)


cases = st.builds(
    Case, st.integers(15, 40), st.integers(6, 12), st.integers(1, 7), st.integers(1, 600),
    st.integers(1, 4).map(lambda half: 2 * half), st.integers(0, 2**31),
)  # fmt: skip


def rows_of(batch: Batch) -> list[int]:
    """Which rows a batch has: made stores hold a row's own number."""
    return [int(value) for value in batch.x[:, 0].tolist()]


def epoch(reader: Reader) -> list[int]:
    """The rows of one epoch from the reader's beginning, cut off the stream of batches."""
    rows: list[int] = []
    while len(rows) < reader.epoch_rows:
        rows += rows_of(reader.next())
    return rows[: reader.epoch_rows]


def pairs_of(store: Store, rows: range) -> list[tuple[int, int]]:
    """Every pair of neighbours, the plain way."""
    found = []
    for r in rows[:-1]:
        same_context = r // store.context_length == (r + 1) // store.context_length
        same_document = store.document[r] == store.document[r + 1]
        special = {int(store.tokens[r]), int(store.tokens[r + 1])} & set(made.SPECIAL)
        if same_context and same_document and not special:
            found.append((r, r + 1))
    return found


@given(cases, st.sampled_from(["train", "test"]))
def test_an_epoch_gives_every_valid_row_once(case: Case, split: str) -> None:
    store = case.store()
    rows = store.split(split)
    reader = case.reader("tokens", store, split)
    expected = [r for r in rows if store.tokens[r] not in made.SPECIAL]
    first, second = epoch(reader), epoch(case.reader("tokens", store, split))
    assert sorted(first) == expected
    assert first == second


@given(cases)
def test_the_second_epoch_is_another_order_of_the_same_rows(case: Case) -> None:
    reader = case.reader("tokens")
    size = reader.epoch_rows
    rows: list[int] = []
    while len(rows) < 2 * size:
        rows += rows_of(reader.next())
    assert sorted(rows[:size]) == sorted(rows[size : 2 * size])
    assert rows[:size] != rows[size : 2 * size]


@given(cases)
def test_an_epoch_gives_every_pair_once_and_pairs_are_neighbours(case: Case) -> None:
    store = case.store()
    reader = case.reader("pairs", store)
    rows = epoch(reader)
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    assert sorted(pairs) == pairs_of(store, store.split("train"))


@given(cases)
def test_pairs_are_never_torn(case: Case) -> None:
    reader = case.reader("pairs")
    for _ in range(3 * reader.epoch_rows // case.batch):
        batch = reader.next()
        assert torch.equal(batch.position[1::2], batch.position[::2] + 1)
        assert torch.equal(batch.document[1::2], batch.document[::2])
        assert torch.equal(batch.context[1::2], batch.context[::2])


@given(cases, st.integers(1, 4))
def test_an_epoch_gives_every_window_once_and_windows_are_neighbours(case: Case, window: int) -> None:
    """Of one row they are the tokens, of two the pairs, in the same order."""
    store = made.in_memory(80, 12, case.chunk_contexts, case.seed)
    reader = Reader(store, "train", "windows", window, case.seed, case.pool_rows, window=window)
    rows = epoch(reader)
    found = [tuple(rows[start : start + window]) for start in range(0, len(rows), window)]
    pairs = set(pairs_of(store, store.split("train")))
    expected = [
        tuple(range(row, row + window))
        for row in store.split("train")
        if store.valid[row] and all((row + i, row + i + 1) in pairs for i in range(window - 1))
    ]
    assert sorted(found) == expected
    same = {1: "tokens", 2: "pairs"}.get(window)
    if same:
        assert rows == epoch(Reader(store, "train", same, window, case.seed, case.pool_rows))


@given(cases)
def test_contexts_come_whole_and_in_order(case: Case) -> None:
    store = case.store()
    length = case.length
    rows = epoch(case.reader("contexts", store))
    order = list(dict.fromkeys(r // length for r in rows))
    expected = []
    for context in order:
        inside = range(context * length, (context + 1) * length)
        expected += [r for r in inside if store.tokens[r] not in made.SPECIAL]
    assert rows == expected
    assert sorted(order) == [c for c in range(store.split("train").stop // length)
                             if store.valid[c * length : (c + 1) * length].any()]  # fmt: skip


@given(cases, st.sampled_from(TRUE))
def test_a_batch_says_where_its_rows_stand(case: Case, mode: str) -> None:
    store = case.store()
    reader = case.reader(mode, store)
    for _ in range(5):
        batch = reader.next()
        rows = np.asarray(rows_of(batch))
        assert batch.x.shape == (case.batch, 3)
        assert batch.x.dtype == torch.float32
        assert batch.x.is_contiguous()
        assert torch.equal(batch.x, store.rows(0, store.count)[torch.from_numpy(rows)])
        for name in ("document", "position", "context"):
            assert getattr(batch, name).dtype == torch.int64
        assert np.array_equal(batch.context.numpy(), rows // case.length)
        assert np.array_equal(batch.position.numpy(), rows % case.length)
        assert np.array_equal(batch.document.numpy(), store.document[rows])


@given(cases, st.sampled_from([*TWINS]))
def test_a_twin_tells_the_same_places_and_gives_the_same_rows_permuted(case: Case, mode: str) -> None:
    """Bit for bit the labels of the true reading; each pool's rows as often, in another order."""
    store = case.store()
    twin, true = case.reader(mode, store), case.reader(TWINS[mode], store)
    assert twin.epoch_rows == true.epoch_rows
    given, meant = [], []
    while len(meant) < true.epoch_rows:
        ours, theirs = twin.next(), true.next()
        for name in ("document", "position", "context"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))
        given += rows_of(ours)
        meant += rows_of(theirs)
    assert Counter(given[: true.epoch_rows]) == Counter(meant[: true.epoch_rows])


@pytest.mark.parametrize("mode", [*TWINS])
def test_a_twin_has_no_neighbours(mode: Any) -> None:
    """Rows that it calls neighbours are as far apart, and as seldom of one document, as random rows."""
    store = made.in_memory(400, 12, 4)
    reader = Reader(store, "train", mode, 64, 3, window=4)
    said = true = document = 0
    for _ in range(reader.epoch_rows // 64):
        batch = reader.next()
        row = np.asarray(rows_of(batch))
        said_next = (batch.context[1:] == batch.context[:-1]) & (
            batch.position[1:] == batch.position[:-1] + 1
        )
        here = said_next.numpy() & (batch.document[1:] == batch.document[:-1]).numpy()
        said += int(here.sum())
        true += int((row[1:] == row[:-1] + 1)[here].sum())
        document += int((store.document[row[1:]] == store.document[row[:-1]])[here].sum())
    assert said > 1000
    assert true < 0.005 * said
    assert document < 0.05 * said


@pytest.mark.parametrize("mode", [*TWINS])
def test_parts_of_a_twin_are_its_batch(mode: Any) -> None:
    """Two processes together read what one reads, and cut no pair or context."""
    store = made.in_memory(60, 8, 4)
    whole, *parts = (Reader(store, "train", mode, 32, 1, 100, part, 4) for part in ((0, 1), (0, 2), (1, 2)))
    for _ in range(40):
        batch, first, second = whole.next(), parts[0].next(), parts[1].next()
        for name in ("x", "document", "position", "context"):
            assert torch.equal(getattr(batch, name), torch.cat([getattr(first, name), getattr(second, name)]))
        assert first.context[-1] != second.context[0]


@settings(max_examples=60)
@given(cases, st.sampled_from(MODES), st.integers(0, 120), st.integers(0, 60))
def test_a_restored_reader_goes_on_exactly(case: Case, mode: str, before: int, after: int) -> None:
    store = case.store()
    reader = case.reader(mode, store)
    for _ in range(before):
        reader.next()
    state = json.loads(json.dumps(reader.state()))
    resumed = case.reader(mode, store)
    for _ in range(after):  # wherever the other stands, restore decides
        resumed.next()
    resumed.restore(state)
    for _ in range(30):
        expected, found = reader.next(), resumed.next()
        for name in ("x", "document", "position", "context"):
            assert torch.equal(getattr(expected, name), getattr(found, name))
    assert reader.state() == resumed.state()


@given(cases, st.sampled_from(MODES))
def test_pools_hold_what_memory_holds(case: Case, mode: str) -> None:
    store = case.store()
    pooled = epoch(case.reader(mode, store))
    whole = epoch(Reader(store, "train", mode, case.batch, case.seed, window=case.window))
    assert Counter(pooled) == Counter(whole)


@given(cases)
def test_a_pool_is_large_enough_and_at_most_twice_that(case: Case) -> None:
    """About: the last chunk of a split may be shorter, and chunks are never cut."""
    from pipeline.store.order import pools, split_chunks

    chunks = split_chunks(case.store(), "train")
    size = case.chunk_contexts * case.length
    total = sum(len(each) for each in chunks)
    for epoch_number in range(3):
        made_pools = pools(chunks, case.pool_rows, case.seed, epoch_number)
        assert (
            sorted((each for made_pool in made_pools for each in made_pool), key=lambda each: each.start)
            == chunks
        )
        for made_pool in made_pools:
            rows = sum(len(each) for each in made_pool)
            assert rows > min(case.pool_rows, total) - 2 * size
            assert rows < 2 * max(case.pool_rows, size) + 2 * size


def test_in_memory_the_shuffle_is_full() -> None:
    """Ranks of neighbouring rows are as far apart as in a random permutation: a third of the length."""
    store = made.in_memory(60, 10, 4)
    rows = epoch(Reader(store, "train", "tokens", 2, 5))
    rank = np.empty(max(rows) + 1)
    rank[rows] = np.arange(len(rows))
    gaps = np.abs(np.diff(rank[sorted(rows)]))
    assert 0.28 < gaps.mean() / len(rows) < 0.39


def test_pools_differ_from_epoch_to_epoch_and_seed_to_seed() -> None:
    store = made.in_memory(60, 10, 2)
    orders = []
    for seed in (0, 1):
        reader = Reader(store, "train", "tokens", 2, seed, pool_rows=80)
        orders += [epoch(reader), epoch(reader)]
    firsts = [{row // 20 for row in order[:40]} for order in orders]
    assert len({tuple(sorted(chunks)) for chunks in firsts}) == 4


def test_bfloat16_rows_come_out_as_float32() -> None:
    x = torch.randn(40, 4).bfloat16()
    batch = Reader(
        Store.from_tensors(x, context_length=8, chunk_contexts=1), "train", "tokens", 6, 0, 16
    ).next()
    assert batch.x.dtype == torch.float32
    rows = batch.context * 8 + batch.position
    assert torch.equal(batch.x, x[rows].float())


def test_a_batch_holds_whole_pairs_and_windows() -> None:
    with pytest.raises(BadInput, match="whole pairs; make it a multiple of 2"):
        Reader(made.in_memory(9, 8, 2), "train", "pairs", 7, 0)
    with pytest.raises(BadInput, match="whole windows; make it a multiple of 4"):
        Reader(made.in_memory(9, 8, 2), "train", "windows", 6, 0, window=4)


def test_fewer_rows_than_one_batch() -> None:
    store = made.in_memory(9, 8, 2)
    usable = int(store.valid[: 6 * 8].sum())
    Reader(store, "train", "tokens", usable, 0).next()
    with pytest.raises(BadInput, match=rf"gives {usable} rows in mode tokens, fewer than one batch of 512"):
        Reader(store, "train", "tokens", 512, 0)


def test_two_pools_in_memory_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool in use and the one read ahead, whatever the size of the store, in the same two places."""
    made_pools: list[weakref.ref[pool.Pool]] = []
    places: set[int] = set()
    load = pool.load

    def watched(store: Store, chunks: pool.Chunks, spare: Tensor | None = None) -> pool.Pool:
        loaded = load(store, chunks, spare)
        made_pools.append(weakref.ref(loaded))
        places.add(loaded.x.data_ptr())
        return loaded

    monkeypatch.setattr(pool, "load", watched)
    reader = Reader(made.in_memory(90, 10, 1), "train", "tokens", 10, 0, pool_rows=100)
    for _ in range(120):
        reader.next()
        assert sum(ref() is not None for ref in made_pools) <= 2
    assert len(made_pools) > 8
    assert len(places) == 2


def test_a_chunk_that_cannot_be_read_ahead_stops_the_reader(tmp_path: Path) -> None:
    made.write(tmp_path / "s", made.header(30, 8, 3, 1), *made.text(30, 8), made.numbered(30, 8))
    store = open_store(tmp_path / "s")
    chunk = tmp_path / "s/activations/c.7.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    reader = Reader(store, "train", "tokens", 8, 0, pool_rows=20)
    with pytest.raises(BadInput, match=r"activations/c.7.0 is damaged"):
        [reader.next() for _ in range(40)]
