"""Small random training steps, and the comparison of a variant's objective with a dense float64 formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.sae.method.variant import Objective, Step
from pipeline.training.job import method

Wide = dict[str, Tensor]
Formula = Callable[[Wide, Tensor], dict[str, Tensor]]


@dataclass
class Case:
    variant: Any  # of the method's own type, whose state tests set
    weights: dict[str, Tensor]
    step: Step

    def run(self) -> tuple[Objective, dict[str, Tensor]]:
        """The objective and the gradient of the sum of its terms."""
        objective = self.variant.objective(self.step)
        torch.stack(list(objective.terms.values())).sum().backward()
        return objective, {name: w.grad for name, w in self.weights.items() if w.grad is not None}


def case(
    name: str,
    seed: int = 0,
    batch: int = 14,
    d: int = 6,
    n: int = 20,
    l0: int | None = 3,
    coefficient: float = 0.3,
    dead: tuple[int, ...] = (),
    index: int = 60,
    steps: int = 100,
    context: Tensor | None = None,
    document: Tensor | None = None,
    position: Tensor | None = None,
    **config: Any,
) -> Case:
    """One step of variant `name` on random weights and inputs with a mean of their own."""
    config_type, method_type = method(name)
    variant = method_type(config_type.parse(config, name), d, n, l0)
    g = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    d, n = variant.d, variant.n  # a row of windows is wider, a stack has more latents
    drawn = {"W_enc": randn(n, d).T, "W_dec": randn(n, d), "b_enc": 0.3 * randn(n), "b_dec": randn(d)}
    weights = {key: drawn[key] for key in variant.parameter_names()}
    weights |= {key: value + 0.2 * randn(*value.shape).abs() for key, value in variant.parameters(g).items()}
    weights = {key: value.requires_grad_() for key, value in weights.items()}
    x = randn(batch, d) + 1
    bias = weights.get("b_enc", torch.zeros(n)) - weights["b_dec"] @ weights["W_enc"]
    rows = torch.arange(batch)
    return Case(variant, weights, Step(
        x=x,
        pre=(x @ weights["W_enc"] + bias).detach(),
        bias=bias,
        weights=weights,
        context=torch.zeros(batch, dtype=torch.int64) if context is None else context,
        document=torch.zeros(batch, dtype=torch.int64) if document is None else document,
        position=rows if position is None else position,
        dead=torch.isin(torch.arange(n), torch.tensor(dead, dtype=torch.int64)),
        coefficient=coefficient,
        index=index,
        steps=steps,
    ))  # fmt: skip


def relative(ours: Tensor, wide: Tensor) -> float:
    """|ours - wide| / |wide|, norms over all entries."""
    return float((ours.double() - wide).norm() / wide.norm().clamp_min(1e-9))


def assert_matches(made: Case, formula: Formula, tolerance: float = 2e-6) -> None:
    """Each term and the gradient of each parameter equal `formula(weights, x)` in float64."""
    wide = {name: w.detach().double().requires_grad_() for name, w in made.weights.items()}
    expected = formula(wide, made.step.x.double())
    sum(expected.values()).backward()  # type: ignore[union-attr]
    objective, gradients = made.run()
    assert objective.terms.keys() == expected.keys()
    for name, term in expected.items():
        assert relative(objective.terms[name].detach(), term.detach()) < tolerance, name
    for name, w in wide.items():
        assert w.grad is not None, name
        assert w.grad.norm() > 0, name
        assert relative(gradients[name], w.grad) < tolerance, name


def relu_codes(w: Wide, x: Tensor) -> Tensor:
    """f = relu((x - b_dec) W_enc + b_enc), dense."""
    return ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).clamp_min(0)


def squared_error(w: Wide, x: Tensor, f: Tensor) -> Tensor:
    """Mean over tokens of |x - f W_dec - b_dec|^2."""
    return (x - f @ w["W_dec"] - w["b_dec"]).pow(2).sum(1).mean()
