"""tsae: the G-matrix against loops over offsets at scale, its schedule, and that it trains to the end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.sae.core.codes import Pairs
from pipeline.sae.method.inner_products import Layout, gram
from pipeline.sae.method.sequence import segments
from pipeline.sae.method.variant import Step
from pipeline.sae.tsae import MIN_VARIANCE, Method, consistency
from pipeline.training.job import Job
from pipeline.training.run import train
from tests.sae.cases import case, relative
from tests.training import toy

SCALES = [0.01, 0.005, 0.001]
LENGTHS = (128, 3, 1, 60)  # rows of four contexts in one batch, the second and last cut


def long_case() -> tuple[Step, Tensor]:
    """A batch of contexts with documents and left-out rows, and codes f (B, n), a third active."""
    g = torch.Generator().manual_seed(0)
    context = torch.cat([torch.full((size,), i) for i, size in enumerate(LENGTHS)])
    position = torch.cat([torch.arange(size) for size in LENGTHS])
    keep = torch.rand(len(context), generator=g) < 0.95
    context, position = context[keep], position[keep]
    document = 100 * context + position // 50
    made = case("tsae", batch=len(context), n=12, context=context, document=document, position=position)
    f = (torch.randn(len(context), 12, generator=g) - 0.4).clamp_min(0)
    f[:, 5] *= 0.05  # variance under the limit
    return made.step, f


def loops(step: Step, f: Tensor, plain: bool) -> Tensor:
    """One pass per offset and per pair of rows, float64."""
    total = torch.zeros((), dtype=torch.float64)
    weights = {}
    for c in step.context.unique().tolist():
        variance = f.detach()[step.context == c].var(0, unbiased=False)
        variance[variance < MIN_VARIANCE] = 0
        kept = 1 if plain else int((variance > 0).sum())
        weights[c] = variance * kept / variance.sum() if variance.sum() > 0 else variance
    where = {(int(c), int(p)): r for r, (c, p) in enumerate(zip(step.context, step.position, strict=True))}
    for scale, (low, high) in zip(SCALES, ((1, 3), (4, 15), (16, 127)), strict=True):
        for offset in range(low, high + 1):
            costs = []
            for (c, p), t in where.items():
                s = where.get((c, p - offset))
                if s is None or step.document[s] != step.document[t]:
                    continue
                cost = (weights[c] * (f[t] - f[s]).square()).sum()
                size = (weights[c] * (f[t].square() + f[s].square())).sum()
                costs.append(cost if plain or size == 0 else cost / size)
            if costs:
                total = total + scale * torch.stack(costs).mean()
    return total


@pytest.mark.parametrize("plain", [False, True])
def test_consistency_equals_loops(plain: bool) -> None:
    step, f = long_case()
    pairs = Pairs.where(f > 0)
    value = f[f > 0].requires_grad_()
    ours = consistency(step, value, pairs, SCALES, plain)
    ours.backward()
    wide = f.double().requires_grad_()
    expected = loops(step, wide, plain)
    expected.backward()
    assert value.grad is not None
    assert wide.grad is not None
    assert relative(ours.detach(), expected.detach()) < 2e-6
    assert relative(value.grad, wide.grad[f > 0]) < 5e-6


def test_gram_equals_the_dense_product() -> None:
    step, f = long_case()
    pairs = Pairs.where(f > 0)
    layout = Layout.of(segments(step), pairs)
    value = f[f > 0].requires_grad_()
    weight = torch.rand(len(layout.context), generator=torch.Generator().manual_seed(2))
    out = gram(value, weight, layout)
    pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    (out * pull).sum().backward()
    wide = f.double().requires_grad_()
    used = torch.zeros(len(LENGTHS), 12, dtype=torch.bool)
    for c, (low, high) in enumerate(segments(step)):
        used[c] = (f[low:high] > 0).any(0)
    dense = torch.zeros(len(LENGTHS), 12, dtype=torch.float64)
    dense[used] = weight.double()
    expected = torch.zeros(out.shape, dtype=torch.float64)
    for c, (low, high) in enumerate(segments(step)):
        expected[low:high, : high - low] = (wide[low:high] * dense[c]) @ wide[low:high].T
    (expected * pull).sum().backward()
    assert value.grad is not None
    assert wide.grad is not None
    assert relative(out.detach(), expected.detach()) < 1e-6
    assert relative(value.grad, wide.grad[f > 0]) < 1e-6


def test_column_weights() -> None:
    H = torch.tensor([[1.0, 0.0, 3.0, 1.0], [1.0, 2.0, 0.0, 1.1], [1.0, 0.0, 0.0, 1.0]])
    variance = H.double().var(0, correction=0)
    kept = variance * torch.tensor([0, 1, 1, 0])  # the constant one and the nearly constant one are left out
    pairs = Pairs.where(H > 0)
    layout = Layout.of([(0, 3)], pairs)
    found = layout.weights(H[H > 0], MIN_VARIANCE, printed=False)
    torch.testing.assert_close(found.double(), kept / kept.sum() * 2)
    found = layout.weights(H[H > 0], MIN_VARIANCE, printed=True)
    torch.testing.assert_close(found.double(), kept / kept.sum())
    one = Layout.of([(0, 1)], Pairs.where(H[:1] > 0))
    assert bool((one.weights(H[:1][H[:1] > 0], MIN_VARIANCE, printed=False) == 0).all())


def test_no_pair_costs_nothing_and_has_a_finite_gradient() -> None:
    made = case("tsae", document=torch.arange(14))
    objective, gradients = made.run()
    assert float(objective.terms["temporal"].detach()) == 0
    assert all(bool(torch.isfinite(g).all()) for g in gradients.values())


def test_shrinking_codes_does_not_pay() -> None:
    """The relative form is the same for f and f/3 (same latents kept); the plain one falls ninefold."""
    step, f = long_case()
    pairs = Pairs.where(f > 0)
    full, third = 30 * f[f > 0], 10 * f[f > 0]
    relative_form = [float(consistency(step, value, pairs, SCALES, False)) for value in (full, third)]
    assert relative_form[0] == pytest.approx(relative_form[1], rel=1e-5)
    plain = [float(consistency(step, value, pairs, SCALES, True)) for value in (full, third)]
    assert plain[0] == pytest.approx(9 * plain[1], rel=1e-5)


@pytest.mark.parametrize(
    ("preset", "index", "steps", "boost", "ramp"),
    [
        ("ours", 0, 1000, 2.0, 0.0), ("ours", 100, 1000, 2.0, 0.5), ("ours", 150, 1000, 1.5, 0.75),
        ("ours", 200, 1000, 1.0, 1.0), ("ours", 999, 1000, 1.0, 1.0),
        ("paper", 1000, 4882, 2.0, 0.5), ("paper", 1500, 4882, 1.5, 0.75), ("paper", 2000, 4882, 1.0, 1.0),
    ],
)  # fmt: skip
def test_schedule(preset: str, index: int, steps: int, boost: float, ramp: float) -> None:
    made = case("tsae", preset=preset, index=index, steps=steps)
    assert isinstance(made.variant, Method)
    assert made.variant.schedule(made.step) == pytest.approx((boost, ramp))


def test_it_trains_to_the_end() -> None:
    section = toy.section(n=32, l0=[5], tokens=1000 * 64)
    source = toy.flickering()
    plain, one = (
        train(Job.of("tsae", {"weight": weight}, 1), section, source, torch.device("cpu"))[0]
        for weight in (0.0, 30.0)
    )
    assert one.run.status == "ok"
    assert one.run.l0 == pytest.approx(5, rel=0.15)
    assert one.log[-1]["step"] == 1000
    # between the end of the setpoint's fall and the end of training the loss falls at a steady L0
    fallen = next(row for row in one.log if row["step"] == 500)
    assert one.log[-1]["loss"] < fallen["loss"]
    assert one.log[-1]["explained_variance"] > max(0.3, fallen["explained_variance"])
    assert toy.change(one.sae, source) < 0.6 * toy.change(plain.sae, source)
