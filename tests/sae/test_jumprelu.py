"""jumprelu's dead latents: the default pre-activation loss brings them back without a price."""

from __future__ import annotations

import torch

from pipeline.training.trainer import Trainer
from tests.training import toy


def stepped(weight: float, steps: int = 250) -> Trainer:
    """A run in which twelve latents begin out of reach of every input."""
    values = {"pre_activation_weight": weight, "bandwidth": 0.1, "lr_scale": 2.0}
    one, reader = toy.trainer("jumprelu", values, steps, dead_tokens=512)
    with torch.no_grad():
        one.weights["b_enc"][:12] = -6.0
    for _ in range(steps):
        one.step(reader.next())
    return one


def test_the_default_weight_revives_dead_latents_at_equal_l0() -> None:
    default = toy.trainer("jumprelu")[0].variant.config.pre_activation_weight  # type: ignore[attr-defined]
    without, with_it = stepped(0.0), stepped(default)
    assert int((without.fired[:12] >= 512).sum()) == 12
    assert int((with_it.fired[:12] < 512).sum()) >= 4
    assert 0.5 < with_it.figures["l0"] / without.figures["l0"] < 2
    assert with_it.figures["explained_variance"] > without.figures["explained_variance"] - 0.02
