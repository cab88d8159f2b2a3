"""Every method's steps and a resumed run on an emulated device, against the CPU's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipeline.training.trainer import Trainer
from tests.emulated import DEVICE, emulated
from tests.training import toy

STEPS = 6
VALUES: dict[str, dict[str, Any]] = {"jumprelu": {"pre_activation_weight": 0}}  # squeezes in place


def stepped(variant: str, device: torch.device) -> Trainer:
    """Some steps, the last after a checkpoint was taken and restored."""
    one, reader = toy.trainer(variant, VALUES.get(variant), device=device, dead_tokens=128)
    for index in range(STEPS):
        if index == STEPS - 1:
            one.restore({name: each.cpu() for name, each in one.tensors().items()}, one.scalars())
        one.step(reader.next().to(device))
    return one


@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_every_tensor_is_where_it_belongs(variant: str) -> None:
    expected = stepped(variant, torch.device("cpu"))
    with emulated():
        found = stepped(variant, DEVICE)
        weights = {name: weight.detach().cpu() for name, weight in found.weights.items()}
    assert {weight.device for weight in found.weights.values()} == {DEVICE}
    assert found.figures == pytest.approx(expected.figures, rel=1e-4)
    for name, weight in expected.weights.items():
        torch.testing.assert_close(weights[name], weight.detach(), atol=1e-3, rtol=1e-3)
