"""Pairs and Codes against loops over a dense matrix."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.sae.core.codes import Codes, Pairs

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def entries(active: np.ndarray) -> list[tuple[int, int]]:
    return [(b, i) for b in range(active.shape[0]) for i in range(active.shape[1]) if active[b, i]]


@given(MASKS, st.integers(0, 2**16))
def test_pairs_equal_loops(active: np.ndarray, seed: int) -> None:
    batch, n = active.shape
    rng = np.random.default_rng(seed)
    values, dense = rng.normal(size=int(active.sum())), rng.normal(size=(batch, n))
    pairs, value = Pairs.where(torch.from_numpy(active)), torch.from_numpy(values)
    flat = entries(active)
    assert [*zip(pairs.token.tolist(), pairs.latent.tolist(), strict=True)] == flat
    assert pairs.offsets.tolist() == [sum(b < row for b, _ in flat) for row in range(batch + 1)]
    assert (len(pairs), pairs.batch, pairs.density) == (len(flat), batch, len(flat) / (batch * n))
    assert pairs.at(torch.from_numpy(dense)).tolist() == [dense[b, i] for b, i in flat]
    by_latent, by_token, back = np.zeros(n), np.zeros(batch), np.zeros((batch, n))
    for (b, i), v in zip(flat, values, strict=True):
        by_latent[i] += v
        by_token[b] += v
        back[b, i] = v
    np.testing.assert_allclose(pairs.sum_by_latent(value), by_latent, atol=1e-12)
    np.testing.assert_allclose(pairs.sum_by_token(value), by_token, atol=1e-12)
    np.testing.assert_array_equal(pairs.dense(value), back)
    codes = Codes(pairs, value.abs())
    assert codes.l0() == (np.abs(back) > 0).sum() / batch


@given(MASKS)
def test_transposed_order_groups_tokens_by_latent(active: np.ndarray) -> None:
    pairs = Pairs.where(torch.from_numpy(active))
    order, offsets = pairs.by_latent
    for i in range(pairs.n):
        mine = pairs.token[order[offsets[i] : offsets[i + 1]]].tolist()
        assert mine == np.flatnonzero(active[:, i]).tolist()
    assert sorted(order.tolist()) == [*range(len(pairs))]


@given(MASKS, st.integers(0, 2**16))
def test_keep_is_a_filter(active: np.ndarray, seed: int) -> None:
    pairs = Pairs.where(torch.from_numpy(active))
    which = np.random.default_rng(seed).random(len(pairs)) < 0.5
    kept = pairs.keep(torch.from_numpy(which))
    expected = [entry for entry, stays in zip(entries(active), which, strict=True) if stays]
    assert [*zip(kept.token.tolist(), kept.latent.tolist(), strict=True)] == expected
    assert (kept.batch, kept.n) == active.shape


def test_rows_with_every_latent_of_every_token() -> None:
    latent = torch.tensor([[2, 0, 1], [1, 2, 0]])
    pairs = Pairs.rows(latent, 3)
    assert pairs.density == 1
    assert pairs.token.tolist() == [0, 0, 0, 1, 1, 1]
    dense = pairs.dense(torch.arange(6.0))
    assert dense.tolist() == [[1, 2, 0], [5, 3, 4]]


def test_rows_without_latents_and_one_token() -> None:
    none = Pairs.rows(torch.empty(3, 0, dtype=torch.int64), 5)
    assert (len(none), none.batch, none.offsets.tolist()) == (0, 3, [0, 0, 0, 0])
    one = Pairs.rows(torch.tensor([[4, 1]]), 5)
    assert (one.batch, one.token.tolist()) == (1, [0, 0])
    assert one.sum_by_latent(torch.tensor([2.0, 3.0])).tolist() == [0, 3, 0, 0, 2]


def test_l0_does_not_count_zeros() -> None:
    pairs = Pairs.rows(torch.tensor([[0, 1], [1, 2]]), 3)
    assert Codes(pairs, torch.tensor([1.0, 0.0, 0.0, 0.0])).l0() == 0.5
