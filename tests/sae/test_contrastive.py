"""contrastive: InfoNCE against NumPy, what it acts on, the exported threshold, and what it does to codes."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.sae.contrastive import Method, info_nce
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.sequence import follows
from pipeline.sae.method.variant import Objective, Step
from pipeline.training.job import Job
from pipeline.training.run import Trained, train
from tests.sae.cases import case, relative
from tests.training import toy


def numpy_info_nce(z: np.ndarray, anchors: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss and its gradient by z (B, m): softmax less identity over rows and columns, by hand."""
    a, p = z[anchors], z[anchors - 1]
    logits = a @ p.T
    by_row, by_column = (np.exp(logits - logits.max(axis, keepdims=True)) for axis in (1, 0))
    by_row /= by_row.sum(1, keepdims=True)
    by_column /= by_column.sum(0, keepdims=True)
    loss = -(np.log(np.diag(by_row)) + np.log(np.diag(by_column))).mean() / 2
    slope = (by_row + by_column - 2 * np.eye(len(anchors))) / (2 * len(anchors))
    gradient = np.zeros_like(z)
    np.add.at(gradient, anchors, slope @ p)
    np.add.at(gradient, anchors - 1, slope.T @ a)
    return float(loss), gradient


def test_info_nce_equals_numpy() -> None:
    """Rows of a chain are anchor and positive at once; entries of other latents get no gradient."""
    document = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5])
    made = case("contrastive", document=document)
    f = (torch.randn(14, 20, generator=torch.Generator().manual_seed(1)) - 0.3).clamp_min(0)
    value = f[f > 0].requires_grad_()
    loss = info_nce(made.step, value, Pairs.where(f > 0), high=7)
    loss.backward()
    anchors = follows(made.step).nonzero().squeeze(1).numpy()
    assert anchors.tolist() == [1, 2, 4, 7, 8, 9, 12, 13]
    expected, gradient = numpy_info_nce(f[:, :7].double().numpy(), anchors)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    wide = torch.zeros(14, 20, dtype=torch.float64)
    wide[:, :7] = torch.from_numpy(gradient)
    assert value.grad is not None
    assert relative(value.grad, wide[f > 0]) < 2e-6
    assert bool((value.grad[(f > 0).nonzero()[:, 1] >= 7] == 0).all())


def of_codes(z: Tensor) -> float:
    """InfoNCE of codes z (B, m), rows read as pairs of neighbours."""
    batch, m = z.shape
    made = case("contrastive", batch=batch, n=m, document=torch.arange(batch) // 2)
    return float(info_nce(made.step, z[z > 0], Pairs.where(z > 0), m).detach())


def test_values_that_are_known() -> None:
    eye = torch.eye(6)
    assert of_codes(torch.ones(12, 6)) == pytest.approx(log(6), rel=1e-6)  # nothing tells them apart
    assert of_codes(torch.zeros(12, 6)) == pytest.approx(log(6), rel=1e-6)
    together = 3 * eye.repeat_interleave(2, 0)  # one latent per pair
    assert of_codes(together) == pytest.approx(log(1 + 5 * exp(-9)), rel=1e-3)
    assert of_codes(together.roll(1, 0)) == pytest.approx(log(exp(9) + 5), rel=1e-5)
    # positives that are all alike: the rows cannot tell them apart, the columns all choose one anchor
    alike = eye.repeat_interleave(2, 0)
    alike[::2] = eye[0]
    expected = (log(6) + log(exp(1) + 5) - 1 / 6) / 2
    assert of_codes(alike) == pytest.approx(expected, rel=1e-6)
    assert of_codes(alike.flip(0)) == pytest.approx(expected, rel=1e-6)


def test_no_pair_costs_nothing_and_has_a_finite_gradient() -> None:
    objective, gradients = case("contrastive", document=torch.arange(14)).run()
    assert float(objective.terms["contrastive"].detach()) == 0
    assert all(bool(torch.isfinite(g).all()) for g in gradients.values())


def test_the_high_group_is_a_fifth() -> None:
    for n, expected in ((1024, 205), (16384, 3277), (2, 1)):
        variant = case("contrastive", n=n).variant
        assert isinstance(variant, Method)
        assert variant.high == expected


def test_it_is_saved_as_jumprelu_with_the_learnt_threshold() -> None:
    one, reader = toy.trainer("contrastive", {"threshold_decay": 0.8}, steps=12)
    smallest, objective = [], one.variant.objective

    def watched(step: Step) -> Objective:
        found = objective(step)
        smallest.append(float(found.codes.value.min()))
        return found

    one.variant.objective = watched  # type: ignore[method-assign]
    for _ in range(12):
        one.step(reader.next())
    weights = 0.8 ** np.arange(11, -1, -1)
    expected = (weights * smallest).sum() / weights.sum() / one.scale
    sae = one.export()
    assert sae.architecture == "jumprelu"
    assert sae.threshold is not None
    np.testing.assert_allclose(sae.threshold.numpy(), np.full(48, expected), rtol=1e-5)


def part(sae: SAE, latents: slice) -> SAE:
    """The SAE with all other latents removed."""
    assert sae.threshold is not None
    threshold = torch.full_like(sae.threshold, torch.inf)
    threshold[latents] = sae.threshold[latents]
    return replace(sae, threshold=threshold)


def test_neighbours_share_high_level_codes() -> None:
    """On features that last and features that do not, the high-level group takes what lasts."""
    section = toy.section(n=32, l0=[4], tokens=800 * 64)
    source = toy.flickering()

    def trained(weight: float) -> Trained:
        values = {"weight": weight, "high": 0.5, "prefix_weights": [0.5, 0.5]}
        return train(Job.of("contrastive", values, 1), section, source, torch.device("cpu"))[0]

    plain, one = trained(0.0), trained(1.0)
    assert one.run.status == "ok"
    assert one.run.l0 == pytest.approx(4, rel=0.1)
    assert one.log[-1]["explained_variance"] > 0.85
    inner = [toy.change(part(run.sae, slice(0, 16)), source) for run in (plain, one)]
    assert inner[1] < 0.5 * inner[0]
    assert toy.change(part(one.sae, slice(16, 32)), source) > 3 * inner[1]
    assert toy.change(one.sae, source) < 0.95 * toy.change(plain.sae, source)
