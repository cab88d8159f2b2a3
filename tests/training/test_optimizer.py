"""The optimizer's parts: fused Adam on a transposed weight, schedule, projection, scaling."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from pipeline.sae.method.variant import Recipe
from pipeline.training import optimizer as optim


def weights() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    made = {"W_enc": torch.randn(9, 5, generator=g).T, "W_dec": torch.randn(9, 5, generator=g),
            "b_enc": torch.randn(9, generator=g)}  # fmt: skip
    return {name: w.requires_grad_() for name, w in made.items()}


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_fused_steps_equal_the_formula(kind: str) -> None:
    """W_enc is a transposed view and its gradient is not: both layouts must be walked right."""
    decay = 0.01 if kind == "adamw" else 0.0
    ours = weights()
    wide = {name: w.detach().double() for name, w in ours.items()}
    adam = optim.Adam(ours, Recipe(steps=5, batch=2, lr=0.01, optimizer=kind, weight_decay=decay))
    moments = {name: [torch.zeros_like(w), torch.zeros_like(w)] for name, w in wide.items()}
    for step in range(1, 4):
        for name, w in ours.items():
            target = torch.arange(w.numel(), dtype=torch.float32).view(w.shape) / 10
            (w - target).square().sum().backward()
            g = 2 * (wide[name] - target)
            wide[name] *= 1 - 0.01 * decay
            first, second = moments[name]
            first += 0.1 * (g - first)
            second += 0.001 * (g**2 - second)
            root = (second / (1 - 0.999**step)).sqrt() + 1e-8
            wide[name] -= 0.01 * first / (1 - 0.9**step) / root
        adam.step(0.01)
        assert all(w.grad is None for w in ours.values())
    for name, w in ours.items():
        torch.testing.assert_close(w.detach().double(), wide[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_steps_equal_torchs_own_bit_for_bit(kind: str) -> None:
    """Also of a weight that has no gradient at some steps, which then keeps its count."""
    ours, theirs = weights(), weights()
    recipe = Recipe(steps=5, batch=2, lr=0.01, optimizer=kind, weight_decay=0.01)
    mine = optim.Adam(ours, recipe)
    made = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
    adam = made(list(theirs.values()), lr=0.01, weight_decay=0.01, fused=True)
    g = torch.Generator().manual_seed(1)
    for step in range(6):
        for name in ours if step % 3 else ("W_enc", "W_dec"):
            ours[name].grad = torch.randn(ours[name].shape, generator=g)
            theirs[name].grad = ours[name].grad.clone()
        mine.step(0.01 / (step + 1))
        adam.param_groups[0]["lr"] = 0.01 / (step + 1)
        adam.step()
        adam.zero_grad()
        for name, w in ours.items():
            assert torch.equal(w, theirs[name])


def test_dynamo_is_not_imported() -> None:
    """It takes 1.4 s; a torch.optim.Optimizer would import it."""
    script = """
import sys, torch
from pipeline.training.optimizer import Adam
from pipeline.sae.method.variant import Recipe
w = {"w": torch.ones(2, requires_grad=True)}
w["w"].sum().backward()
Adam(w, Recipe(steps=1, batch=2, lr=0.1)).step(0.1)
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_learning_rate() -> None:
    recipe = Recipe(steps=10, batch=2, lr=8.0, warmup=4, decay=2)
    assert [optim.learning_rate(recipe, step) for step in range(10)] == [2, 4, 6, 8, 8, 8, 8, 8, 8, 4]
    assert {optim.learning_rate(Recipe(steps=3, batch=2, lr=1.0), step) for step in range(3)} == {1.0}


def test_the_projection_undoes_nothing_that_was_left() -> None:
    W = weights()["W_dec"]
    with torch.no_grad():
        optim.normalise_rows(W)
        torch.testing.assert_close(W.norm(dim=1), torch.ones(9))
        W.grad = torch.randn(9, 5)
        raw = W.grad.clone()
        optim.remove_parallel_gradient(W)
    assert float((W.grad * W.detach()).sum(1).abs().max()) < 1e-6
    removed = raw - W.grad
    along = (removed * W.detach()).sum(1, keepdim=True) * W.detach()
    torch.testing.assert_close(removed, along, atol=1e-6, rtol=1e-5)


def test_scaling_of_updates_and_of_gradients() -> None:
    scale = torch.linspace(0.5, 3, 9)
    w = weights()
    before = {name: t.detach().clone() for name, t in w.items()}
    with torch.no_grad():
        for t in w.values():
            t += 1.0
            t.grad = torch.full_like(t, 2.0)
        optim.scale_latents(w, scale, before)
        optim.scale_latents(w, scale, None)
    for name, factor in (
        ("W_enc", scale.expand(5, 9)),
        ("W_dec", scale[:, None].expand(9, 5)),
        ("b_enc", scale),
    ):
        torch.testing.assert_close(w[name].detach() - before[name], factor, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(w[name].grad, 2 * factor)


def test_clip() -> None:
    w = weights()
    for t in w.values():
        t.grad = torch.full_like(t, 3.0)
    optim.clip_gradients(w, None)
    assert w["b_enc"].grad is not None
    assert float(w["b_enc"].grad[0]) == 3
    optim.clip_gradients(w, 0.5)
    total = sum(float(t.grad.square().sum()) for t in w.values() if t.grad is not None) ** 0.5
    assert total == pytest.approx(0.5, rel=1e-4)


def test_noise_is_seeded() -> None:
    drawn = []
    for _ in range(2):
        w = weights()
        for t in w.values():
            t.grad = torch.zeros_like(t)
        optim.add_noise(w, 0.1, torch.Generator().manual_seed(3))
        drawn.append(torch.cat([t.grad.flatten() for t in w.values() if t.grad is not None]))
    assert torch.equal(*drawn)
    assert float(drawn[0].std()) == pytest.approx(0.1, rel=0.3)
