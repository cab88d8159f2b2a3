"""Codes of windows laid end to end, against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction.tiled import METRICS, Tiled
from pipeline.numbers.number import Number
from pipeline.store import Batch
from tests.sae.windows import D, plain_codes, windowed

PLAN = Resampling(100, 0)
OWN = Number(3.0, 10), Number(0.5, 10)


def block(lengths: list[int]) -> Batch:
    """One document per context, each in a context of its own."""
    position = torch.cat([torch.arange(length) for length in lengths])
    context = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    x = torch.randn(len(position), D, generator=torch.Generator().manual_seed(1)) + 1
    return Batch(x, context, position, context)


@pytest.mark.parametrize("groups", [1, 3])
def test_against_plain_loops(groups: int) -> None:
    sae, rows = windowed(tokens=3, groups=groups), block([7, 2, 9, 3])
    assert sae.window is not None
    x = rows.x.double().numpy()
    codes, mean = plain_codes(sae, x, rows.past.numpy()), x.mean(0)
    error = deviation = active = tokens = 0.0
    for end in (2, 5, 11, 14, 17, 20):  # the whole windows of 7, 2, 9 and 3 tokens
        active += (codes[end] > 0).sum()
        for back in range(3):
            W = sae.W_dec if back == 0 else sae.window.W_dec[back - 1]
            b = sae.b_dec if back == 0 else sae.window.b_dec[back - 1]
            error += ((x[end - back] - codes[end] @ W.double().numpy() - b.double().numpy()) ** 2).sum()
            deviation += ((x[end - back] - mean) ** 2).sum()
            tokens += 1
    counted = Tiled(sae, torch.from_numpy(mean))
    counted.add(rows, sae.encode(rows.x, rows.past))
    found = counted.values(PLAN, *OWN)
    assert set(found) == {each.name for each in METRICS}
    assert found["total_l0"].value == pytest.approx(active / tokens)
    assert found["tiled_explained_variance"].value == pytest.approx(1 - error / deviation, rel=1e-5)
    assert {number.items for number in found.values()} == {18}
    assert found["total_l0"].value < float(np.count_nonzero(codes)) / len(x)


def test_no_whole_window_is_a_reason() -> None:
    sae, rows = windowed(tokens=3), block([2, 1])
    counted = Tiled(sae, torch.zeros(D))
    counted.add(rows, sae.encode(rows.x, rows.past))
    assert {number.reason for number in counted.values(PLAN, *OWN).values()} == {
        "no whole window was evaluated"
    }


def test_constant_activations_have_no_explained_variance() -> None:
    """Though their mean is off by rounding."""
    sae, rows = windowed(tokens=3), block([7, 4])
    rows = replace(rows, x=torch.full_like(rows.x, 30.0))
    counted = Tiled(sae, rows.x.double().mean(0) + 1e-14)
    counted.add(rows, sae.encode(rows.x, rows.past))
    found = counted.values(PLAN, *OWN)
    assert found["tiled_explained_variance"].reason == "the activations are constant"
    assert found["total_l0"].items == 9


def test_of_single_tokens_it_is_what_they_have() -> None:
    sae, rows = windowed(tokens=1), block([4])
    counted = Tiled(sae, torch.zeros(D))
    counted.add(rows, sae.encode(rows.x, rows.past))
    assert tuple(counted.values(PLAN, *OWN).values()) == OWN
