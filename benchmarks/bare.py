"""The same maths without this project: a dense loop as one would write it, and the floor of a step.

The bare loop folds b_dec into the bias and uses fused Adam, projects decoder rows as ours does, and keeps no
statistics; on a GPU it is compiled and its matmuls run in bfloat16. The floor is what no step can do without:
the encoder's matmul, the selection of the active pairs, and Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import torch
from torch import Tensor

from benchmarks.problem import LR, Problem
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.topk import largest, row_top

VARIANTS = ("standard", "topk", "batchtopk", "jumprelu")
WIDTH = 0.03
"""Kernel width of jumprelu, as a share of sqrt(d)."""


def weights(problem: Problem, variant: str) -> dict[str, Tensor]:
    """Fresh copies of the shared weights, ready to train."""
    shape = problem.shape
    w = {
        "W_enc": problem.W_dec.clone().T,
        "W_dec": problem.W_dec.clone(),
        "b_enc": torch.zeros(shape.n, device=shape.device),
        "b_dec": torch.zeros(shape.d, device=shape.device),
    }
    if variant == "standard":
        w["b_enc"] = -problem.threshold
    if variant == "jumprelu":
        w["threshold"] = problem.threshold.clone()
    return {name: each.requires_grad_() for name, each in w.items()}


def dense(problem: Problem, variant: str) -> Callable[[], object]:
    """One step of a plain dense loop."""
    w = weights(problem, variant)
    optimizer = torch.optim.Adam(list(w.values()), lr=LR, fused=True)
    batches = cycle(problem.batches("tokens"))
    cuda = problem.shape.device == "cuda"
    loss_of = torch.compile(_loss) if cuda else _loss

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            loss = loss_of(next(batches).x, w, variant, problem.shape.l0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            w["W_dec"].div_(w["W_dec"].norm(dim=1, keepdim=True))

    return step


def _loss(x: Tensor, w: dict[str, Tensor], variant: str, k: int) -> Tensor:
    pre = x @ w["W_enc"] + (w["b_enc"] - w["b_dec"] @ w["W_enc"])
    if variant == "topk":
        top, latent = pre.topk(k, dim=1, sorted=False)
        f, penalty = torch.zeros_like(pre).scatter(1, latent, top.relu()), 0.0
    elif variant == "batchtopk":
        positive = pre.relu().flatten()
        top, place = positive.topk(k * len(x), sorted=False)
        f, penalty = torch.zeros_like(positive).scatter(0, place, top).view_as(pre), 0.0
    elif variant == "jumprelu":
        # the straight-through kernel as a surrogate: same values forward, the kernel's gradient backward
        width = WIDTH * x.shape[1] ** 0.5
        on = (pre > w["threshold"]).to(pre)
        inside = ((pre - w["threshold"]).abs() < width / 2).to(pre).detach()
        shift = -(w["threshold"] - w["threshold"].detach()) * inside / width
        f = pre * on + w["threshold"].detach() * shift
        penalty = 0.01 * (on + shift).sum() / len(x)
    else:
        f = pre.relu()
        penalty = 0.01 * f.sum() / len(x)
    error = x - f @ w["W_dec"] - w["b_dec"]
    return error.square().sum() / len(x) + penalty


def floor(problem: Problem, variant: str, precision: str) -> Callable[[], object]:
    """Encoder matmul, selection and Adam alone, each as fast as we know how, memory used again."""
    shape = problem.shape
    w = weights(problem, variant)
    for each in w.values():
        each.grad = torch.randn_like(each)
    optimizer = torch.optim.Adam(list(w.values()), lr=LR, fused=True)
    batches = cycle(problem.batches("tokens"))
    pre = torch.empty(shape.batch, shape.n, device=shape.device)
    half = pre.bfloat16() if precision == "bfloat16" else None

    @torch.no_grad()
    def step() -> None:
        x = next(batches).x
        if half is None:
            torch.mm(x, w["W_enc"], out=pre)
        else:
            pre.copy_(torch.mm(x.bfloat16(), w["W_enc"].bfloat16(), out=half))
        pre.add_(w["b_enc"])
        if variant == "topk":
            row_top(pre, shape.l0)
        elif variant == "batchtopk":
            largest(pre, shape.l0 * len(x))
        else:
            Pairs.where(pre > (w["threshold"] if variant == "jumprelu" else 0))
        optimizer.step()

    return step
