"""The auxiliary objectives: which tokens make the bag, and what the balance punishes."""

from __future__ import annotations

import pytest
import torch

from pipeline.lm.objectives import FARTHEST, NEAREST, Balance, FutureBag, future_bags

BOS = 1


def test_a_bag_is_the_later_tokens_of_the_document() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 20, (4, 60), generator=generator)
    ids[:, 0] = ids[1, 17] = ids[2, 40] = BOS
    tokens, shares = future_bags(ids, BOS)
    for row, line in enumerate(ids.tolist()):
        for at in range(len(line)):
            end = next((t for t in range(at + 1, len(line)) if line[t] == BOS), len(line))
            expected = line[at + NEAREST : min(end, at + FARTHEST + 1)] if line[at] != BOS else []
            mine = shares[row, at] > 0
            assert tokens[row, at][mine].tolist() == expected
            if expected:
                assert shares[row, at][mine].tolist() == pytest.approx([1 / len(expected)] * len(expected))


def test_the_bag_s_loss_is_the_soft_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 20, (2, 30), generator=generator)
    residual, head = torch.randn(2, 30, 8, generator=generator), torch.zeros(20, 8)
    loss = FutureBag(8, 0)(residual, ids, BOS, head, 30.0)
    torch.testing.assert_close(loss, torch.tensor(20.0).log())  # a head of zeros: every token alike


def activations(token: float, context: float, narrow: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 16) made of a vector per token and a vector per row, of the given weights."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(10, (4000,), generator=generator)
    words, rows = torch.randn(10, 16, generator=generator), torch.randn(4000, 16, generator=generator)
    x = token * words[tokens] + context * rows
    return (x * torch.tensor([9.0] + [1.0] * 15) if narrow else x), tokens


def punished(token: float, context: float, ceiling: float, floor: float, narrow: bool = False) -> float:
    balance = Balance(10, 16, ceiling, floor)
    x, tokens = activations(token, context, narrow)
    balance(x, tokens)  # the running means are those of earlier steps
    return float(balance(x, tokens))


def test_the_token_s_share_is_punished_above_the_ceiling_only() -> None:
    assert punished(1.0, 0.1, 0.5, 1.0) > 1.2
    assert punished(0.5, 1.0, 0.5, 1.0) == 0.0
    assert punished(1.0, 0.1, 1.0, 1.0) == 0.0


def test_a_low_participation_ratio_is_punished_below_the_floor_only() -> None:
    assert punished(0.0, 1.0, 1.0, 8.0) == 0.0
    assert punished(0.0, 1.0, 1.0, 8.0, narrow=True) > 1.0
    assert punished(0.0, 1.0, 1.0, 1.0, narrow=True) == 0.0


def test_a_gradient_step_widens_and_takes_from_the_token() -> None:
    balance = Balance(10, 16, 0.5, 8.0)
    x, tokens = activations(1.0, 0.2, narrow=True)
    balance(x, tokens)
    before = balance(x.requires_grad_(), tokens)
    (slope,) = torch.autograd.grad(before, x)
    with torch.no_grad():
        moved = x - 0.02 * x.norm() * slope / slope.norm()
        assert float(balance(moved, tokens)) < float(before)
