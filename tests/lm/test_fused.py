"""The fused operations of training against their plain forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.lm.embedded import build_model
from pipeline.lm.fused import fuse_norms, head_loss, plain_norms, rms_norm
from tests.lm.test_embedded import SPECIAL, WIDTH, contexts, section

G = torch.Generator().manual_seed(0)


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=G).requires_grad_()


@pytest.mark.parametrize("rows", [5, 700])  # one part, and several with a rest
def test_head_loss_and_its_gradients(rows: int) -> None:
    hidden, weight = inputs(rows, 8), inputs(30, 8)
    tokens = torch.randint(30, (rows, 4), generator=G)
    shares = torch.rand(rows, 4, generator=G) * (torch.arange(rows) % 3 > 0)[:, None]
    cap = 5.0
    log_p = (cap * torch.tanh(hidden @ weight.T / cap)).log_softmax(-1)
    plain = -(log_p.gather(1, tokens) * shares).sum()
    fused = head_loss(hidden, weight, tokens, shares, cap)
    torch.testing.assert_close(fused, plain)
    expected = torch.autograd.grad(2 * plain, (hidden, weight))
    found = torch.autograd.grad(2 * fused, (hidden, weight))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_rms_norm_and_its_gradients() -> None:
    x, weight = inputs(3, 7, 16), inputs(16)
    plain = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (1 + weight)
    fused = rms_norm(x, weight, 1e-6)
    torch.testing.assert_close(fused, plain)
    weigh = torch.randn(3, 7, 16, generator=G)
    expected = torch.autograd.grad((plain * weigh).sum(), (x, weight))
    torch.testing.assert_close(torch.autograd.grad((fused * weigh).sum(), (x, weight)), expected)


def test_fused_norms_leave_a_model_s_logits_and_can_be_undone() -> None:
    model: Any = build_model(section(), 30, WIDTH, SPECIAL).eval()
    rows = contexts(3)
    with torch.no_grad():
        before = model(rows).logits
        fuse_norms(model)
        torch.testing.assert_close(model(rows).logits, before)
        plain_norms(model)
        assert torch.equal(model(rows).logits, before)
