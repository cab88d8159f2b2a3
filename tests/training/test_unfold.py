"""The loop's own chain rule and memory against plain autograd."""

from __future__ import annotations

import pytest
import torch

from pipeline.training.optimizer import folded_bias, unfold_bias
from tests.sae.cases import relative
from tests.training.toy import trainer


@pytest.mark.parametrize("names", [("b_dec", "b_enc"), ("b_dec",)])
def test_unfolded_gradients_equal_autograds(names: tuple[str, ...]) -> None:
    g = torch.Generator().manual_seed(0)
    drawn = {"W_enc": torch.randn(40, 6, generator=g).T, "b_dec": torch.randn(6, generator=g),
             "b_enc": torch.randn(40, generator=g)}  # fmt: skip
    x = torch.randn(9, 6, generator=g)
    ours = {name: drawn[name].clone().requires_grad_() for name in ("W_enc", *names)}
    wide = {name: drawn[name].double().requires_grad_() for name in ("W_enc", *names)}
    bias = folded_bias(ours).requires_grad_()
    (x @ ours["W_enc"] + bias).sin().sum().add((ours["b_dec"] ** 3).sum()).backward()
    unfold_bias(ours, bias)
    pre = (x.double() - wide["b_dec"]) @ wide["W_enc"] + wide.get("b_enc", 0)
    pre.sin().sum().add((wide["b_dec"] ** 3).sum()).backward()
    for name, w in ours.items():
        assert w.grad is not None
        assert wide[name].grad is not None
        assert relative(w.grad, wide[name].grad) < 2e-6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_memory_used_again_changes_no_bit(precision: str) -> None:
    one, _ = trainer("standard")
    one.precision = precision
    W_enc = one.weights["W_enc"].detach()
    g = torch.Generator().manual_seed(1)
    for rows in (64, 64, 40, 64):  # a second batch into the first one's memory, then other sizes
        x = torch.randn(rows, len(W_enc), generator=g)
        plain = (x.bfloat16() @ W_enc.bfloat16()).float() if precision == "bfloat16" else x @ W_enc
        assert torch.equal(one.pre_activations(x, W_enc), plain)
