"""The selections by floor and candidates against a stable sort of everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.sae.core import topk
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.topk import descending, kth_largest, largest, row_top

B, N = 130, 400


def randn(shift: float = 0.0) -> Tensor:
    return torch.randn(B, N, generator=torch.Generator().manual_seed(3)) + shift


def low_first() -> Tensor:
    """Large values in the columns and rows that the floors come from: every floor is too high."""
    x = randn()
    x[:, : N // topk.SHARE] += 6
    x[:: B // topk.SAMPLE_ROWS] += 20
    return x


CASES: dict[str, Callable[[], Tensor]] = {
    "plain": randn,
    "mostly below zero": lambda: randn(-2.5),
    "all below zero": lambda: randn(-50),
    "ties everywhere": lambda: randn().round(decimals=0),
    "ties of most": lambda: (randn() > 0).float(),
    "equal rows": lambda: randn()[:1].expand(B, N).contiguous(),
    "floors too high": low_first,
    "zeros": lambda: torch.zeros(B, N),
}


def by_rows(pre: Tensor, k: int) -> Tensor:
    """(E,) flat ids of the k largest positive entries of each row, the first of equal ones."""
    order = pre.sort(dim=1, descending=True, stable=True).indices[:, :k]
    taken = torch.zeros_like(pre, dtype=torch.bool).scatter_(1, order, True)
    return (taken & (pre > 0)).view(-1).nonzero().squeeze(1)


@pytest.mark.parametrize("k", [1, 6, 40, N])
@pytest.mark.parametrize("name", CASES)
def test_row_top_equals_a_stable_sort(name: str, k: int) -> None:
    pre = CASES[name]()
    found = row_top(pre, k)
    assert torch.equal(found.flat, by_rows(pre, k))
    assert torch.equal(found.offsets, Pairs.of(found.token, found.latent, B, N).offsets)


@pytest.mark.parametrize("count", [1, 6 * B, 40 * B, B * N])
@pytest.mark.parametrize("name", CASES)
def test_largest_equals_a_stable_sort(name: str, count: int) -> None:
    pre = CASES[name]()
    assert torch.equal(largest(pre, count).flat, by_rows(pre.view(1, -1), count))


def test_floors_leave_a_few_candidates() -> None:
    pre = torch.randn(256, 4096, generator=torch.Generator().manual_seed(0))
    reached = (pre >= topk.row_floor(pre, 48)[:, None]).sum(1)
    assert reached.float().mean() == pytest.approx(2 * 48 + 6 * topk.SHARE, rel=0.1)
    exceeding = (pre > topk.batch_floor(pre, 48 * 256)).sum()
    assert float(exceeding) == pytest.approx(1.25 * 48 * 256, rel=0.1)


def test_kth_largest() -> None:
    x = torch.tensor([[3.0, 1.0, 2.0], [5.0, 5.0, 0.0]])
    assert kth_largest(x, 2).tolist() == [2.0, 5.0]
    assert x.tolist() == [[3.0, 1.0, 2.0], [5.0, 5.0, 0.0]]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 17, N])
def test_descending_is_topk_bit_for_bit_ties_included(case: str, k: int) -> None:
    pre = CASES[case]()
    value, latent = descending(pre, k)
    expected = pre.topk(k, dim=1)
    assert torch.equal(value, expected.values)
    assert torch.equal(latent, expected.indices)


def test_descending_takes_what_topk_takes_where_training_diverged() -> None:
    pre = randn()
    pre[3, 5] = torch.nan
    value, latent = descending(pre, 17)
    expected = pre.topk(17, dim=1)
    assert torch.equal(value.nan_to_num(9.0), expected.values.nan_to_num(9.0))
    assert torch.equal(latent, expected.indices)
