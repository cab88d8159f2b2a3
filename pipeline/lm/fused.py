"""Two operations of the embedded model's training, each as one autograd function: half the time of a step.

Both equal the plain form to float32's rounding (tests/lm/test_fused.py); they are used in training only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 256
"""Rows of logits that exist at once: they fit a core's cache."""


class _Head(torch.autograd.Function):
    """Cross-entropy against soft targets through a linear head with a soft cap; gradients made on the way."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, tokens: Tensor, shares: Tensor, cap: float
    ) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
        x, w = hidden.to(dtype), weight.to(dtype)
        loss = torch.zeros((), dtype=torch.float32)
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros_like(weight)
        for start in range(0, len(x), ROWS):
            part = slice(start, start + ROWS)
            squashed = (x[part] @ w.T).float().div_(cap).tanh_()
            slope = 1 - squashed.square()
            log_p = squashed.mul_(cap)
            log_p -= log_p.logsumexp(1, keepdim=True)
            target, share = tokens[part], shares[part]
            loss -= (log_p.gather(1, target) * share).sum()
            d_logits = log_p.exp_().mul_(share.sum(1, keepdim=True))
            d_logits.scatter_add_(1, target, -share)
            g = d_logits.mul_(slope).to(dtype)
            d_hidden[part] = g @ w
            d_weight += g.T @ x[part]
        ctx.save_for_backward(d_hidden, d_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        d_hidden, d_weight = ctx.saved_tensors
        return d_hidden * grad, d_weight * grad, None, None, None


def head_loss(hidden: Tensor, weight: Tensor, tokens: Tensor, shares: Tensor, cap: float) -> Tensor:
    """Sum over rows of -sum_j shares_j log softmax(cap tanh(weight @ hidden / cap))[tokens_j], in nats.

    `hidden` (N, d), `weight` (V, d), `tokens` (N, M) int64 and their `shares` (N, M), 0 for none.
    """
    loss: Tensor = _Head.apply(hidden, weight, tokens, shares, cap)
    return loss


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + eps)
        normed = x.float() * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return (normed * (1 + weight.float())).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, inverse, weight = ctx.saved_tensors
        grad = grad.float()
        d_weight = (grad * normed).flatten(0, -2).sum(0)
        inner = grad * (1 + weight.float())
        d_x = (inner - normed * (inner * normed).mean(-1, keepdim=True)) * inverse
        return d_x, d_weight, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Gemma's RMSNorm: x / rms(x) * (1 + weight), in float32, as x's dtype."""
    normed: Tensor = _RmsNorm.apply(x, weight, eps)
    return normed


def fuse_norms(model: Any) -> None:
    """Let every RMSNorm of a Gemma-2 model compute with `rms_norm`; `plain_norms` undoes it."""
    for module in _norms(model):
        module.forward = lambda x, of=module: rms_norm(x, of.weight, of.eps)


def plain_norms(model: Any) -> None:
    """Undo `fuse_norms`."""
    for module in _norms(model):
        del module.forward


def _norms(model: Any) -> list[Any]:
    return [module for module in model.modules() if type(module).__name__ == "Gemma2RMSNorm"]
