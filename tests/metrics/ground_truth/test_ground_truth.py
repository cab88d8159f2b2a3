from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.metrics.ground_truth.measure import LEARNED, METRICS, OWNED, measure
from pipeline.metrics.ground_truth.synthetic import (
    KINDS,
    Sample,
    Source,
    SourceSection,
    draw,
    make_source,
)
from pipeline.sae.core.inference import SAE

SECTION = SourceSection(
    d=32, parents=4, children=2, states=2, orders=2, independents=8, independent_l0=1.5, context_length=16,
    noise=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def source() -> Source:
    return make_source(SECTION, 1)


@pytest.fixture(scope="module")
def sample(source) -> Sample:
    return draw(source, 250, 1, 2)


def sae_of(W_enc: Tensor, W_dec: Tensor) -> SAE:
    """Codes x W_enc where above 0.1: well above rounding, well below the least magnitude."""
    d, n = W_enc.shape
    zeros = torch.zeros(n)
    return SAE("jumprelu", W_enc, W_dec, torch.zeros(d), zeros, threshold=zeros + 0.1)


def inverse(source: Source) -> Tensor:
    """(d, F): fewer features than dimensions, so the true codes are linear in x."""
    return torch.linalg.pinv(source.directions.double()).float()


def oracle(source: Source) -> SAE:
    return sae_of(inverse(source), source.directions)


def absorbing(source: Source) -> SAE:
    """A parent's latent is shut off by any of its children, whose decoder rows hold the parent as well."""
    W_enc, W_dec = inverse(source), source.directions.clone()
    for child, parent in enumerate(source.parent.tolist()):
        if parent >= 0:
            W_enc[:, parent] -= 100 * inverse(source)[:, child]
            W_dec[child] += source.directions[parent]
    return sae_of(W_enc, W_dec / W_dec.norm(dim=1, keepdim=True))


def values(sae: SAE, source: Source, sample: Sample) -> dict[str, float | None]:
    return {name: value.value for name, value in measure(sae, source, sample).values.items()}


def test_every_defined_metric_is_measured(source, sample):
    assert set(values(oracle(source), source, sample)) == {metric.name for metric in METRICS}


def test_the_true_dictionary_is_perfect(source, sample):
    found = values(oracle(source), source, sample)
    for name in ("recovery_mmcs", "recovery_mmcs_child", "recovery_share", "firing_f1"):
        assert found[name] == pytest.approx(1)
    for name in ("exact_absorption", "exact_absorption_matched", "parent_miss_alone", "child_parent_leak"):
        assert found[name] == pytest.approx(0, abs=1e-6)
    assert found["explained_variance"] == pytest.approx(1, abs=1e-6)
    assert found["l0"] == found["l0_true"] == sample.truth.l0()
    assert found["flicker"] == found["flicker_true"]
    assert found["flicker_parent"] == found["flicker_parent_true"]
    assert found["flicker_parent_error"] == found["detection_delay"] == 0
    # no token holds them: the best latent is no better than a token allows
    assert found["order_f1"] == pytest.approx(found["order_f1_token"], abs=1e-6)
    assert found["state_f1"] < found["state_f1_token"] < 1


def test_an_absorbing_dictionary_has_absorption_one(source, sample):
    found = values(absorbing(source), source, sample)
    assert found["exact_absorption"] == 1
    assert found["exact_absorption_matched"] == 1
    assert found["parent_miss_with_child"] == 1
    assert found["parent_miss_alone"] == 0
    assert 0.5 < found["child_parent_leak"] < 0.8
    assert found["flicker_parent"] > 3 * found["flicker_parent_true"]
    assert found["flicker_parent_error"] > 2 * found["flicker_parent_true"]
    assert 0.3 < found["detection_delay"] < 2  # a run waits for a token without a child


def test_a_fixed_budget_alone_is_not_absorption_once_l0_is_matched():
    """Feature strengths that have nothing to do with parenthood: only the budget of 3 drops latents."""
    section = SECTION.model_copy(update={"child_rate": 0.5, "parent_rate": 0.2, "magnitudes": [0.5, 1.5]})
    source = make_source(section, 0)
    sample = draw(source, 1500, 0, 1)
    sae = SAE(
        "topk", inverse(source), source.directions, torch.zeros(section.d), torch.zeros(section.features), k=3
    )
    found = values(sae, source, sample)
    assert found["exact_absorption"] > 0.1
    assert abs(found["exact_absorption_matched"]) < 0.03


def test_all_metrics_agree_with_plain_loops(source, sample):
    generator = torch.Generator().manual_seed(0)
    W_dec = torch.cat([source.directions, torch.randn(30, SECTION.d, generator=generator)])
    W_dec += 0.15 * torch.randn(W_dec.shape, generator=generator)
    W_dec /= W_dec.norm(dim=1, keepdim=True)
    W_dec = W_dec[torch.randperm(len(W_dec), generator=generator)]
    sae = SAE("topk", W_dec.T.contiguous(), W_dec, sample.x.mean(0), torch.zeros(len(W_dec)), k=3)
    found = values(sae, source, sample)
    expected = reference(sae, source, sample)
    assert 0.05 < expected["parent_miss_with_child"] < 0.95
    assert set(expected) == set(found)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5), name


def reference(sae: SAE, source: Source, sample: Sample) -> dict[str, float]:
    """Every metric by loops over tokens and features, in float64."""
    x, W = sample.x.double().numpy(), sae.W_dec.double().numpy()
    D, kinds, parent = source.directions.double().numpy(), source.kinds, source.parent.tolist()
    truth = sample.truth.dense().numpy() > 0
    z = np.zeros((len(x), len(W)))
    for t, pre in enumerate(sae.pre(sample.x).numpy()):
        for i in np.argsort(-pre, kind="stable")[: sae.k]:
            z[t, i] = max(pre[i], 0)
    on = z > 0
    cosine = [max(row @ direction for row in W) for direction in D]
    latent = [int(np.argmax([row @ direction for row in W])) for direction in D]
    out = {"recovery_mmcs": np.mean(cosine), "recovery_share": np.mean([c > 0.9 for c in cosine])}
    for kind in KINDS:
        out[f"recovery_mmcs_{kind}"] = np.mean([c for c, k in zip(cosine, kinds, strict=True) if k == kind])
    f1 = []
    for feature, i in enumerate(latent):
        hits = sum(truth[t, feature] and on[t, i] for t in range(len(x)))
        if truth[:, feature].sum():
            f1.append(2 * hits / (truth[:, feature].sum() + on[:, i].sum()))
    out["firing_f1"] = np.mean(f1)
    out |= reference_absorption(truth, on, latent, cosine, parent)
    learned = [f for f in range(len(D)) if parent[f] >= 0 and cosine[f] > LEARNED]
    out["child_parent_leak"] = np.mean(
        [W[latent[f]] @ D[parent[f]] - D[f] @ D[parent[f]] for f in learned]
    )  # fmt: skip
    own = sorted({latent[p] for p in range(SECTION.parents) if cosine[p] > OWNED})
    out["flicker_true"] = reference_flicker(truth)
    out["flicker"] = reference_flicker(on)
    out["flicker_parent_true"] = reference_flicker(truth[:, : SECTION.parents])
    out["flicker_parent"] = reference_flicker(on[:, own])
    owned = [p for p in range(SECTION.parents) if cosine[p] > OWNED]
    out["flicker_parent_error"] = np.mean(
        [abs(reference_flicker(on[:, [latent[p]]]) - reference_flicker(truth[:, [p]])) for p in owned]
    )
    out["detection_delay"] = np.mean(
        [wait for p in owned for wait in reference_delays(truth[:, p], on[:, latent[p]])]
    )
    out |= reference_unseen(W, D, truth, on, sample)
    error = x - (z @ W + sae.b_dec.double().numpy())
    out["explained_variance"] = 1 - (error**2).sum() / ((x - x.mean(0)) ** 2).sum()
    out["l0"], out["l0_true"] = on.sum(1).mean(), truth.sum(1).mean()
    return out


def reference_absorption(truth, on, latent, cosine, parent) -> dict[str, float]:
    with_child, alone, matched = [], [], []
    for p in range(SECTION.parents):
        if cosine[p] <= OWNED:
            continue
        silent: dict[bool, list[bool]] = {True: [], False: []}
        strata: dict[int, dict[bool, list[bool]]] = {}
        for t in range(len(truth)):
            if truth[t, p]:
                child = any(truth[t, f] for f in range(len(parent)) if parent[f] == p)
                miss = not on[t, latent[p]]
                silent[child].append(miss)
                strata.setdefault(int(truth[t].sum()), {True: [], False: []})[child].append(miss)
        with_child.append(np.mean(silent[True]))
        alone.append(np.mean(silent[False]))
        top = bottom = 0.0
        for cell in strata.values():
            n1, n0 = len(cell[True]), len(cell[False])
            if n1 and n0:
                weight = n1 * n0 / (n1 + n0)
                top += weight * (np.mean(cell[True]) - np.mean(cell[False]))
                bottom += weight
        matched.append(top / bottom)
    return {
        "parent_miss_with_child": np.mean(with_child),
        "parent_miss_alone": np.mean(alone),
        "exact_absorption": np.mean(np.subtract(with_child, alone)),
        "exact_absorption_matched": np.mean(matched),
    }


def reference_flicker(on) -> float:
    length, switched, total = SECTION.context_length, 0, 0
    for t in range(len(on) - 1):
        if t // length == (t + 1) // length:
            for i in range(on.shape[1]):
                total += on[t, i]
                switched += on[t, i] and not on[t + 1, i]
    return switched / total


def reference_delays(truth, on) -> list[int]:
    """Of every run of `truth` (N,) that begins within a context: tokens until `on`, at most its length."""
    length, found = SECTION.context_length, []
    for t in range(len(truth)):
        if truth[t] and t % length and not truth[t - 1]:
            run = [t]
            while (run[-1] + 1) % length and truth[run[-1] + 1]:
                run.append(run[-1] + 1)
            found.append(next((i for i, u in enumerate(run) if on[u]), len(run)))
    return found


def reference_unseen(W, D, truth, on, sample) -> dict[str, float]:
    """Hidden states, and the second of two events within `order_window` tokens after the first."""
    coupled, event = 12, 16
    state = sample.states.dense(torch.ones(len(sample.states))).numpy() > 0
    seen = np.stack([truth[:, coupled + 2 * s : coupled + 2 * s + 2].any(1) for s in range(2)], axis=1)
    ordered, second = np.zeros((len(truth), 2), dtype=bool), truth[:, event + 1 : event + 4 : 2]
    for t in range(len(truth)):
        begin = max(t - t % SECTION.context_length, t - SECTION.order_window)
        for pair in range(2):
            ordered[t, pair] = second[t, pair] and truth[begin:t, event + 2 * pair].any()
    middle = [D[coupled + 2 * s] + D[coupled + 2 * s + 1] for s in range(2)]
    return {
        "state_f1": np.mean([max(f1(state[:, s], z) for z in on.T) for s in range(2)]),
        "state_f1_token": np.mean([f1(state[:, s], seen[:, s]) for s in range(2)]),
        "state_cosine": np.mean([max(row @ m for row in W) / np.linalg.norm(m) for m in middle]),
        "order_f1": np.mean([max(f1(ordered[:, s], z) for z in on.T) for s in range(2)]),
        "order_f1_token": np.mean([f1(ordered[:, s], second[:, s]) for s in range(2)]),
    }


def f1(truth, on) -> float:
    return 2 * (truth & on).sum() / (truth.sum() + on.sum())


def test_a_dead_sae_gives_reasons_not_zeros(source, sample):
    nothing = SAE("standard", torch.zeros(32, 5), torch.eye(5, 32), torch.zeros(32), torch.full((5,), -1.0))
    measured = measure(nothing, source, sample).values
    assert measured["flicker"].value is None
    assert "on before another token" in (measured["flicker"].reason or "")
    assert measured["l0"].value == 0
    assert measured["firing_f1"].value == 0


def test_without_a_latent_for_any_parent_absorption_is_missing(source, sample):
    others = source.directions[SECTION.parents :]
    found = measure(sae_of(inverse(source)[:, SECTION.parents :], others), source, sample).values
    assert found["exact_absorption"].value is None
    assert found["recovery_mmcs_independent"].value == pytest.approx(1)


def test_features_that_never_fire_are_left_out_of_f1(source, sample):
    few = draw(source, 2, 1, 3)
    fires = torch.bincount(few.truth.pairs.latent, minlength=SECTION.features) > 0
    assert 0 < int(fires.sum()) < SECTION.features
    measured = measure(oracle(source), source, few)
    assert measured.values["firing_f1"].items == int(fires.sum())
    assert [math.isnan(v) for v in measured.f1.tolist()] == (~fires).tolist()


def test_means_carry_an_interval_that_holds_them(source, sample):
    value = measure(oracle(source), source, sample).values["recovery_mmcs_child"]
    noisy = measure(sae_of(inverse(source)[:, :10], source.directions[:10]), source, sample).values
    assert value.low is not None
    assert value.low <= value.value <= value.high
    mmcs = noisy["recovery_mmcs"]
    assert mmcs.low < mmcs.value < mmcs.high
