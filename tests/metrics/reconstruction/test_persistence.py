"""Persistence: order against random order, by count, by energy and as smoothness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction.entries import Entries, permuted
from pipeline.metrics.reconstruction.orders import Orders, Shuffled, steadiness
from pipeline.metrics.reconstruction.persistence import METRICS, TABLE
from pipeline.metrics.reconstruction.temporal import permutation
from pipeline.numbers.number import Number
from pipeline.store import Batch
from tests.metrics.codes import perfect_sae, random_dense, sparse

PLAN = Resampling(resamples=100, seed=0)
NAMES = {metric.name for metric in METRICS}


def block(dense: Tensor, contexts: int, x: Tensor | None = None) -> Batch:
    """The tokens of `dense` (B, n) in contexts of equal length, a document each; x is the code by default."""
    length = len(dense) // contexts
    rows = torch.arange(len(dense))
    return Batch(dense.clone() if x is None else x, rows // length, rows % length, rows // length)


def counted(dense: Tensor, contexts: int, dense_latents: Tensor | None = None, seed: int = 0) -> Orders:
    held = [block(dense, contexts)]
    orders = Orders(dense.shape[1], 4, dense_latents)
    orders.add(held[0], sparse(dense))
    orders.shuffle(Shuffled(held, seed))
    return orders


def chains(contexts: int, length: int, n: int, stay: float, share: float = 0.2, seed: int = 0) -> Tensor:
    """(contexts * length, n): per latent an on/off state that is kept with `stay`, else drawn anew."""
    g = torch.Generator().manual_seed(seed)
    state = torch.rand(contexts, n, generator=g) < share
    states = []
    for _ in range(length):
        states.append(state)
        anew = torch.rand(contexts, n, generator=g) < share
        state = torch.where(torch.rand(contexts, n, generator=g) < stay, state, anew)
    on = torch.stack(states, 1).reshape(-1, n)
    return on * (0.5 + torch.rand(contexts * length, n, generator=g))


def test_independent_tokens_have_no_persistence() -> None:
    values = counted(chains(60, 40, 12, stay=0.0), 60).values(PLAN)
    for name, none in (("persistence", 0), ("persistence_energy", 0), ("smoothness_ratio", 1)):
        number = values[name]
        assert number.low is not None
        assert number.high is not None
        assert number.low - 0.01 < none < number.high + 0.01
        assert number.value == pytest.approx(none, abs=0.015)


@pytest.mark.parametrize("stay", [0.3, 0.7, 0.9])
def test_persistence_is_the_chance_to_keep_a_state(stay: float) -> None:
    """P(off next | on) = (1 - stay)(1 - share), and 1 - share in random order."""
    values = counted(chains(60, 60, 12, stay), 60).values(PLAN)
    assert values["persistence"].value == pytest.approx(stay, abs=0.02)
    assert values["persistence_energy"].value == pytest.approx(stay, abs=0.03)


def test_a_code_that_never_changes_within_a_context_is_wholly_persistent() -> None:
    dense = random_dense(10, 8, 0.4, seed=1).repeat_interleave(6, dim=0)
    values = counted(dense, 10).values(PLAN)
    assert values["persistence"] == Number(1.0, values["persistence"].items, low=1.0, high=1.0)
    assert values["persistence_energy"].value == pytest.approx(1, abs=1e-12)


def test_known_values_of_three_tokens() -> None:
    """Tokens (3, 4), (3, 0), (0, 5) in order; the random order of seed `s` is put in by hand."""
    dense = torch.tensor([[3.0, 4.0], [3.0, 0.0], [0.0, 5.0]])
    order = permutation(3, 0)
    mixed = dense[order]
    values = counted(dense, 1).values(PLAN)

    def switched(f: Tensor) -> float:
        share = f.square() / f.square().sum(1, keepdim=True)
        lost = [float(share[t][f[t + 1] == 0].sum() + share[t + 1][f[t] == 0].sum()) for t in (0, 1)]
        return sum(lost) / 4

    def flicker(f: Tensor) -> float:
        on, stays = f[:-1] > 0, (f[:-1] > 0) & (f[1:] > 0)
        return 1 - float(stays.sum() / on.sum())

    # pair 1 loses 16 / 25, pair 2 all of both
    assert switched(dense) == pytest.approx((16 / 25 + 0 + 1 + 1) / 4)
    assert flicker(dense) == pytest.approx(2 / 3)
    for name, of in (("persistence", flicker), ("persistence_energy", switched)):
        assert values[name].value == pytest.approx(1 - of(dense) / of(mixed))
    assert (values["persistence"].items, values["persistence_energy"].items) == (3, 4)


def test_columns_equal_loops_over_pairs() -> None:
    """With gaps, several documents, dense latents left out, in both orders."""
    g = torch.Generator().manual_seed(5)
    dense, n = random_dense(40, 6, 0.4, seed=2), 6
    dense[7:9] = 0  # silent tokens
    left_out = torch.tensor([False, True, False, False, True, False])
    document = (torch.rand(40, generator=g) < 0.15).long().cumsum(0)
    keep = torch.rand(40, generator=g) > 0.1
    rows = torch.arange(40)[keep]
    x = torch.randn(40, 3, generator=g)
    held = [Batch(x[keep], document[keep], rows % 20, rows // 20)]
    orders = Orders(n, 4, left_out)
    orders.add(held[0], sparse(dense[keep]))
    shuffled = Shuffled(held, 3)
    orders.shuffle(shuffled)
    found = list(orders.rows())
    assert [set(row) for row in found] == [{"context", *TABLE}] * 2
    total = {name: sum(row[name] for row in found) for name in TABLE}
    place = list(zip((rows // 20).tolist(), document[keep].tolist(), (rows % 20).tolist(), strict=True))
    for suffix, f, at in (
        ("", dense[keep], x[keep]),
        ("_shuffled", dense[keep][shuffled.order], shuffled.blocks[0].x),
    ):
        for part, code in (("", f), ("_without_dense", torch.where(left_out, 0.0, f))):
            expected = loops(code.double().numpy(), at.double().numpy(), place)
            for name, value in expected.items():
                assert total[f"{name}{part}{suffix}"] == pytest.approx(value, abs=1e-9), name


def loops(f: np.ndarray, x: np.ndarray, place: list[tuple[int, int, int]]) -> dict[str, float]:
    found = dict.fromkeys(("on_followed", "stays_on", "sides", "switched", "smoothness"), 0.0)
    for t in range(len(place) - 1):
        here, after = place[t], place[t + 1]
        if here[:2] != after[:2] or here[2] + 1 != after[2]:
            continue
        found["smoothness"] += np.linalg.norm(f[t + 1] - f[t]) / np.linalg.norm(x[t + 1] - x[t])
        found["on_followed"] += (f[t] > 0).sum()
        found["stays_on"] += ((f[t] > 0) & (f[t + 1] > 0)).sum()
        for one, other in ((f[t], f[t + 1]), (f[t + 1], f[t])):
            if (energy := (one**2).sum()) > 0:
                found["sides"] += 1
                found["switched"] += (one**2)[other == 0].sum() / energy
    return found


def test_without_its_dense_latents_a_code_shows_what_the_others_do() -> None:
    rare = chains(40, 40, 8, stay=0.0)
    slow = chains(40, 40, 2, stay=0.95, share=0.5)
    dense = torch.cat([rare, slow], 1)
    values = counted(dense, 40, torch.arange(10) >= 8).values(PLAN)
    assert values["persistence"].value > 0.25
    assert values["persistence_without_dense"].value == pytest.approx(0, abs=0.02)
    assert values["persistence_energy_without_dense"].value == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("dense", "missing"),
    [
        (torch.zeros(0, 3), NAMES),
        (torch.ones(1, 3), NAMES),  # one token
        (torch.zeros(6, 3), NAMES),  # nothing fires, and nothing moves
        (torch.ones(6, 3), NAMES),  # always on: nothing switches in any order, and nothing moves
    ],
)
def test_what_order_cannot_change_is_missing_with_its_reason(dense: Tensor, missing: set[str]) -> None:
    values = counted(dense, 1).values(PLAN)
    assert {name for name in NAMES if values[name].value is None} == missing
    assert all(values[name].reason for name in missing)


def test_all_dense_leaves_nothing_without_them() -> None:
    dense = chains(10, 20, 4, stay=0.5, share=0.5)
    values = counted(dense, 10, torch.ones(4, dtype=torch.bool)).values(PLAN)
    assert values["persistence"].value is not None
    assert values["persistence_without_dense"].value is None
    assert values["persistence_energy_without_dense"].value is None


def test_moved_codes_are_those_of_the_moved_rows() -> None:
    """What shuffling held entries gives is what encoding shuffled rows gives, over several blocks."""
    parts = [random_dense(size, 5, 0.4, seed=size) for size in (7, 1, 0, 12)]
    order = permutation(20, 2)
    whole = torch.cat(parts)[order]
    held = [Entries.of(sparse(part)) for part in parts]
    start = 0
    for part, found in zip(parts, permuted(held, [len(part) for part in parts], order), strict=True):
        expected = Entries.of(sparse(whole[start : start + len(part)]))
        assert torch.equal(found.key, expected.key)
        assert torch.equal(found.value, expected.value)
        start += len(part)
    assert list(permuted([], [], permutation(0, 0))) == []


def test_a_method_can_be_asked_without_any_file() -> None:
    x = chains(30, 30, 4, stay=0.9) - 0.1
    found = steadiness(perfect_sae(4), [block(x, 30)])
    assert found["persistence_energy"].value > 0.5
    assert found["flicker"].value < found["flicker_shuffled"].value
