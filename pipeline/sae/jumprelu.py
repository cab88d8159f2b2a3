"""jumprelu: a learnt threshold per latent under an L0 penalty (Rajamanoharan et al. 2024, 2407.14435).

f = pre * 1[pre > theta], L = |x - x^|^2 + coefficient * L0. theta learns through rectangle-kernel
straight-through gradients on pre-activations (equations 11 and 12): with K(u) = 1[|u| < 1/2],
d f / d theta = -(theta / eps) K((pre - theta) / eps), d 1[pre > theta] / d theta = -(1 / eps) K(...).

theta is a raw float32 parameter clamped at 0: as exp(log theta) Adam could only move it by a
factor of lr a step. Latents that are dead get weight * |x - x^|^2 * relu(theta - pre) |d_i|, |d_i| = 1: the
pre-activation loss of Anthropic's recipe (Conerly et al. 2025, transformer-circuits.pub/2025/january-update).
Ours is the factor |x - x^|^2, detached, so that the term keeps its share of the loss at every L0; with the
printed 3e-6 Adam sees nothing beside the gradients that a latent had while it was alive.
The paper's theta, eps and learning rate are for inputs with E|x|^2 = 1, ours have d:
theta is held as a share of sqrt(d), so that Adam's step of lr moves it as far as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.auxk import silent_dead
from pipeline.sae.method.variant import (
    LoopState,
    Objective,
    PenaltyConfig,
    Step,
    Variant,
    Weights,
    reconstruct,
)


class Config(PenaltyConfig):
    """Section `jumprelu` of params.yaml."""

    bandwidth: float = Field(1e-3, gt=0, description="kernel width eps, as a share of sqrt(d)")
    threshold: float = Field(1e-3, ge=0, description="initial theta, as a share of sqrt(d)")
    pre_activation_weight: float = Field(
        1e-3, ge=0, description="weight of (theta - pre) for dead latents, times |x - x^|^2; 0: none"
    )


class Method(Variant):
    """JumpReLU codes."""

    config: Config

    def parameters(self, generator: torch.Generator) -> Weights:
        """theta / sqrt(d), (n,)."""
        return {"threshold": torch.full((self.n,), self.config.threshold)}

    def objective(self, step: Step) -> Objective:
        """Reconstruction, the L0 penalty and the pre-activation loss of dead latents."""
        theta = step.weights["threshold"] * self.d**0.5
        width = self.config.bandwidth * self.d**0.5
        # pairs just below theta (below 0 too, for theta near 0) carry a gradient for theta though their
        # code is zero: the kernel estimates a density at theta and needs both of its sides
        pairs = Pairs.where(step.pre > theta.detach() - width / 2)
        pre, theta_at = step.encode_at(pairs), theta.index_select(0, pairs.latent)
        f = _Jump.apply(pre, theta_at, width)
        scored = reconstruct(step, f, pairs)
        terms = {
            "reconstruction": scored.loss,
            "sparsity": step.coefficient * _Heaviside.apply(pre, theta_at, width).sum() / len(step.x),
        }
        on = f.detach() > 0
        active = pairs.keep(on)
        dead = silent_dead(step, active)
        if self.config.pre_activation_weight and dead.any():
            # silent in the whole batch: the mean over tokens of theta - pre is linear in the mean input
            mean_pre = step.x.mean(0) @ step.weights["W_enc"][:, dead] + step.bias[dead]
            weight = self.config.pre_activation_weight * step.mean(scored.loss.detach())
            terms["pre_activation"] = weight * (theta[dead] - mean_pre).sum()
        return Objective(terms, Codes(active, f.detach()[on]), scored.error.detach())

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """Keep theta at or above 0."""
        with torch.no_grad():
            loop.weights["threshold"].clamp_min_(0)

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A jumprelu SAE."""
        theta = weights["threshold"].detach() * self.d**0.5
        return replace(super().export(weights), architecture="jumprelu", threshold=theta)


class _Jump(Function):
    """pre * 1[pre > theta] with the straight-through gradient for theta."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, theta: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(pre, theta)
        ctx.width = width
        return pre * (pre > theta)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        pre, theta = ctx.saved_tensors
        inside = (pre - theta).abs() < ctx.width / 2
        return g * (pre > theta), -(theta / ctx.width) * inside * g, None


class _Heaviside(Function):
    """1[pre > theta] with a gradient for theta alone."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, theta: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(pre, theta)
        ctx.width = width
        return (pre > theta).to(pre)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor, None]:
        pre, theta = ctx.saved_tensors
        inside = (pre - theta).abs() < ctx.width / 2
        return None, -g * inside / ctx.width, None
