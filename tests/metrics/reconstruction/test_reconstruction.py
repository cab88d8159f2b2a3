from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction.density import Density
from pipeline.metrics.reconstruction.measure import METRICS, Reconstruction, mean_activation
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from pipeline.stats.intervals import wilson
from tests.metrics.codes import perfect_sae, random_dense, random_sae, sparse

PLAN = Resampling(resamples=200, seed=0)
D, N, PER_CONTEXT = 6, 20, 7


def activations(tokens: int, seed: int = 0) -> Tensor:
    x = torch.randn(tokens, D, generator=torch.Generator().manual_seed(seed))
    return 3 * x * torch.tensor([1.0, 0.5, 2.0, 1.0, 0.1, 1.0]) + torch.arange(D)


def measured(sae: SAE, batches: list[Tensor]) -> Reconstruction:
    result = Reconstruction(sae.n, mean_activation(batches, D))
    first = 0
    for x in batches:
        context = first + torch.arange(len(x)) // PER_CONTEXT
        codes = sae.encode(x)
        result.add(x, sae.decode(codes), codes, context)
        first += len(x)
    return result


def numbers(values: dict[str, Number]) -> dict[str, float]:
    assert all(value.value is not None for value in values.values()), values
    return {name: float(value.value) for name, value in values.items() if value.value is not None}


@pytest.fixture(scope="module")
def batches() -> list[Tensor]:
    return [activations(28, 1), activations(21, 2), activations(10, 3)]


@pytest.fixture(scope="module")
def sae() -> SAE:
    return random_sae(D, N, k=3, seed=4)


def reference(batches: list[Tensor], sae: SAE) -> dict[str, float]:
    """Every metric by a loop over tokens in float64, batch means where SAEBench takes them."""
    x = torch.cat(batches).double().numpy()
    z = sae.encode(torch.cat(batches)).dense().double().numpy()
    r = z @ sae.W_dec.double().numpy() + sae.b_dec.double().numpy()
    centre = x.mean(0)
    error = np.array([((a - b) ** 2).sum() for a, b in zip(x, r, strict=True)])
    deviation = np.array([((a - centre) ** 2).sum() for a in x])
    cosine = [a @ b / math.sqrt((a @ a) * (b @ b)) for a, b in zip(x, r, strict=True)]
    density = (z > 0).mean(0)
    found = {
        "mse": error.mean() / D,
        "explained_variance": 1 - error.sum() / deviation.sum(),
        "cosine": np.mean(cosine),
        "l0": np.mean([(row != 0).sum() for row in z]),
        "l1": np.mean([row.sum() for row in z]),
        "l2_norm_in": np.mean(np.linalg.norm(x, axis=1)),
        "l2_norm_out": np.mean(np.linalg.norm(r, axis=1)),
        "l2_ratio": np.mean(np.linalg.norm(r, axis=1) / np.linalg.norm(x, axis=1)),
        "silent_share": (density == 0).mean(),
        "frac_alive": (density > 0).mean(),
        "freq_over_1_percent": (density > 0.01).mean(),
        "freq_over_10_percent": (density > 0.1).mean(),
        "normalized_freq_over_1_percent": density[density > 0.01].sum() / density.sum(),
        "normalized_freq_over_10_percent": density[density > 0.1].sum() / density.sum(),
    }
    # SAEBench 0.6.0, get_sparsity_and_variance_metrics, line by line
    per_token_mse, legacy, bias, squares, per_dimension, residual = [], [], [], [], [], []
    start = 0
    for batch in batches:
        part = slice(start, start + len(batch))
        a, b, e = x[part], r[part], error[part]
        start += len(batch)
        per_token_mse.append(e / len(batch))
        legacy.append(1 - e / ((a - a.mean(0)) ** 2).sum(1))
        bias.append((np.linalg.norm(b, axis=1) ** 2).mean() / (a * b).sum(1).mean())
        squares.append((a**2).sum(1).mean())
        per_dimension.append((a**2).mean(0))
        residual.append(e.mean())
    total_variance = np.mean(squares) - np.concatenate(per_dimension).mean() ** 2
    return found | {
        "mse_saebench": np.concatenate(per_token_mse).mean(),
        "explained_variance_legacy": np.concatenate(legacy).mean(),
        "explained_variance_saebench": 1 - np.mean(residual) / total_variance,
        "relative_reconstruction_bias": np.mean(bias),
    }


def test_every_metric_equals_a_loop_over_tokens(batches: list[Tensor], sae: SAE):
    found = numbers(measured(sae, batches).values(PLAN))
    expected = reference(batches, sae)
    assert set(found) == set(expected) == {metric.name for metric in METRICS}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name


def test_only_saebenchs_formulas_depend_on_the_batches(batches: list[Tensor], sae: SAE):
    in_three = numbers(measured(sae, batches).values(PLAN))
    in_one = numbers(measured(sae, [torch.cat(batches)]).values(PLAN))
    differ = {name for name in in_one if in_one[name] != pytest.approx(in_three[name], rel=1e-9)}
    assert differ == {
        "mse_saebench",
        "explained_variance_saebench",
        "explained_variance_legacy",
        "relative_reconstruction_bias",
    }


def test_a_perfect_sae_explains_everything(batches: list[Tensor]):
    found = numbers(measured(perfect_sae(D), batches).values(PLAN))
    for name in ("explained_variance", "explained_variance_legacy", "explained_variance_saebench", "cosine"):
        assert found[name] == pytest.approx(1, abs=1e-12), name
    assert found["mse"] == found["mse_saebench"] == 0
    assert found["l2_ratio"] == found["relative_reconstruction_bias"] == 1
    assert found["l0"] == D


def test_reconstructing_the_mean_explains_nothing(batches: list[Tensor]):
    x = torch.cat(batches)
    result = Reconstruction(N, mean_activation(batches, D))
    result.add(x, x.double().mean(0).expand_as(x), sparse(torch.zeros(len(x), N)), torch.arange(len(x)))
    values = result.values(PLAN)
    assert values["explained_variance"].value == pytest.approx(0, abs=1e-12)
    dead = values["silent_share"]
    bounds = wilson(N, N)
    assert dead == Number(1.0, N, low=bounds.low, high=bounds.high)
    assert (values["l0"].value, values["frac_alive"].value) == (0, 0)
    assert values["normalized_freq_over_1_percent"].reason == "no latent ever fires"


def test_constant_activations_have_no_explained_variance_and_say_so():
    x = torch.full((5, D), 0.3)
    result = Reconstruction(N, mean_activation([x], D))
    result.add(x, x + 0.1, sparse(random_dense(5, N, 0.5, 0)), torch.zeros(5))
    values = result.values(PLAN)
    assert values["explained_variance"].value is None
    assert values["explained_variance"].reason == "the activations are constant"
    assert values["explained_variance_legacy"].reason == "SAEBench's formula divides by zero here"
    assert values["mse"].value == pytest.approx(0.01, rel=1e-5)


def test_one_token_and_no_token():
    x = torch.ones(1, D)
    one = measured(perfect_sae(D), [x]).values(PLAN)
    assert (one["mse"].value, one["mse"].items, one["mse"].low) == (0, 1, None)
    assert one["explained_variance"].value is None
    none = Reconstruction(N, torch.zeros(D))
    none.add(torch.empty(0, D), torch.empty(0, D), sparse(torch.zeros(0, N)), torch.empty(0))
    values = none.values(PLAN)
    assert set(values) == {metric.name for metric in METRICS}
    assert {value.reason for value in values.values()} == {"no valid token was evaluated"}


def test_a_zero_reconstruction_has_cosine_zero():
    x = torch.ones(4, D)
    result = Reconstruction(N, torch.zeros(D))
    result.add(x, torch.zeros(4, D), sparse(torch.zeros(4, N)), torch.arange(4))
    values = result.values(PLAN)
    assert values["cosine"].value == 0
    assert values["relative_reconstruction_bias"].value is None


def test_contexts_add_up_to_the_whole(batches: list[Tensor], sae: SAE):
    result = measured(sae, batches)
    rows = list(result.sums.rows())
    assert len(rows) == 4 + 3 + 2
    assert [row["tokens"] for row in rows] == [7, 7, 7, 7, 7, 7, 7, 7, 3]
    total = sum(row["squared_error"] for row in rows) / sum(row["tokens"] for row in rows) / D
    assert numbers(result.values(PLAN))["mse"] == pytest.approx(total, rel=1e-12)


def test_intervals_hold_the_value(batches: list[Tensor], sae: SAE):
    for name in ("mse", "explained_variance", "cosine"):
        value = measured(sae, batches).values(PLAN)[name]
        assert value.low is not None
        assert value.high is not None
        assert value.value is not None
        assert value.low < value.value < value.high


def test_density_counts_tokens_and_contexts():
    dense = torch.zeros(6, 3)
    dense[[0, 1, 4], 0] = 1.0
    dense[2, 1] = 0.5
    density = Density(3)
    density.add(sparse(dense), torch.tensor([8, 8, 8, 9, 9, 9]))
    rows = list(density.latents())
    assert [row["fired"] for row in rows] == [3, 1, 0]
    assert [row["density"] for row in rows] == [0.5, pytest.approx(1 / 6), 0]
    assert [row["contexts"] for row in rows] == [2, 1, 0]
    assert [row["tokens_per_context"] for row in rows] == [1.5, 1.0, None]


def test_the_histogram_holds_every_latent_once():
    dense = torch.zeros(1000, 4)
    dense[:, 0] = 1.0  # log10 of 1: the last edge
    dense[:100, 1] = 1.0  # 0.1: on an edge, belongs above it
    dense[0, 2] = 1.0  # 0.001
    density = Density(4)
    density.add(sparse(dense), torch.zeros(1000))
    rows = {row["log10_low"]: row["latents"] for row in density.histogram()}
    assert {low: count for low, count in rows.items() if count} == {-math.inf: 1, -0.25: 1, -1.0: 1, -3.0: 1}
