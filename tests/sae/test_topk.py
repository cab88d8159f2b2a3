"""topk's controls: what is frozen stays as it was drawn, to the bit, and what is held near stays near."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.sae.topk import LEAST_COSINE, hold_near
from pipeline.training.trainer import Trainer
from tests.training import toy


def stepped(frozen: str, steps: int = 60) -> tuple[Trainer, dict[str, Tensor]]:
    """A short run with a high learning rate, and the weights that it started from."""
    one, reader = toy.trainer("topk", {"frozen": frozen}, steps, lr=3e-2, dead_tokens=256)
    start = {name: w.detach().clone() for name, w in one.weights.items()}
    for _ in range(steps):
        one.step(reader.next())
    return one, start


@pytest.mark.parametrize(
    ("frozen", "still"), [("none", set()), ("decoder", {"W_dec"}), ("encoder", {"W_enc", "b_enc"})]
)
def test_frozen_weights_are_bit_equal_to_their_start(frozen: str, still: set[str]) -> None:
    one, start = stepped(frozen)
    assert {name for name, w in one.weights.items() if torch.equal(w.detach(), start[name])} == still
    exported = one.export()
    if "W_dec" in still:
        assert torch.equal(exported.W_dec, start["W_dec"])
    if "W_enc" in still:
        assert torch.equal(exported.W_enc, start["W_enc"])
    torch.testing.assert_close(exported.W_dec.norm(dim=1), torch.ones(48))


def test_a_soft_frozen_decoder_stays_within_the_cosine_and_reaches_it() -> None:
    one, start = stepped("soft_decoder")
    free, _ = stepped("none")
    cosine = (one.weights["W_dec"].detach() * start["W_dec"]).sum(1)
    assert float(cosine.min()) >= LEAST_COSINE - 1e-6
    assert int((cosine < LEAST_COSINE + 1e-3).sum()) > 5
    assert float((free.weights["W_dec"].detach() * start["W_dec"]).sum(1).min()) < 0.6
    torch.testing.assert_close(one.weights["W_dec"].detach().norm(dim=1), torch.ones(48))


def test_hold_near_takes_the_nearest_row_of_the_cone() -> None:
    """Against a search over unit rows in the plane and off it."""
    g = torch.Generator().manual_seed(0)
    start, rows = (torch.nn.functional.normalize(torch.randn(40, 5, generator=g)) for _ in range(2))
    rows[:10] = torch.nn.functional.normalize(start[:10] + 0.1 * rows[:10])  # inside: stay as they are
    held = rows.clone()
    hold_near(held, start)
    assert torch.equal(held[:10], rows[:10])
    cosine = (held * start).sum(1)
    torch.testing.assert_close(cosine[10:].clamp_max(LEAST_COSINE), torch.full((30,), LEAST_COSINE))
    tried = torch.nn.functional.normalize(
        held[10:, None] + 0.05 * torch.randn(30, 500, 5, generator=g), dim=2
    )
    allowed = (tried * start[10:, None]).sum(2) >= LEAST_COSINE
    closer = (tried * rows[10:, None]).sum(2) > (held[10:] * rows[10:]).sum(1, keepdim=True) + 1e-6
    assert not bool((allowed & closer).any())


@pytest.mark.parametrize("control", ["frozen_decoder", "soft_frozen_decoder", "frozen_encoder"])
def test_controls_keep_l0_and_lose_reconstruction(control: str) -> None:
    sizes = {"tokens": 150 * 64, "dead_tokens": 4096, "log_every": 50, "lr": 2e-2}
    [own], [one] = toy.trained("topk", **sizes), toy.trained("topk", control=control, **sizes)
    assert one.run.l0 == pytest.approx(3, abs=0.05)
    assert 0 < one.log[-1]["explained_variance"] < own.log[-1]["explained_variance"]
