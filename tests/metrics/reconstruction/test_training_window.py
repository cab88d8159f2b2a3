"""Dead and dense latents, as the training text tells them."""

from __future__ import annotations

import torch

from pipeline.metrics.reconstruction.training_window import METRICS, TrainingWindow
from tests.metrics.codes import sparse


def test_silent_latents_are_dead_and_those_on_for_more_than_three_tenths_dense() -> None:
    codes = torch.zeros(10, 4)
    codes[:3, 1], codes[:4, 2], codes[9, 3] = 1.0, 1.0, 0.5  # 0, 3, 4 and 1 of ten tokens
    window = TrainingWindow(4)
    window.add(sparse(codes[:5]))
    window.add(sparse(codes[5:]))
    assert window.fired.tolist() == [0, 3, 4, 1]
    assert window.dense.tolist() == [False, False, True, False]
    values = window.values()
    assert (values["dead_share"].value, values["dense_share"].value) == (0.25, 0.25)
    assert values["dead_share"].items == 4
    assert values["dead_share"].low is not None
    assert {metric.name for metric in METRICS} == set(values)


def test_a_window_without_a_token_says_nothing() -> None:
    window = TrainingWindow(3)
    assert not window.dense.any()
    assert {number.reason for number in window.values().values()} == {
        "the training window has no valid token"
    }


def test_one_token_and_an_entry_that_is_zero() -> None:
    window = TrainingWindow(2)
    window.add(sparse(torch.tensor([[1.0, 0.0]])))
    assert window.values()["dead_share"].value == 0.5
