from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.metrics.behavior.evaluate import ablations, evaluate
from pipeline.metrics.behavior.measure import COLUMNS, CONTEXTS, METRICS, Clean, Contexts, of_sae, values
from pipeline.metrics.behavior.section import BehaviorSection
from pipeline.metrics.common.resampling import ItemSums, Resampling
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from tests.metrics.codes import perfect_sae
from tests.sae.windows import windowed

SECTION = BehaviorSection(resamples=200, seed=0)
D, V, T = 5, 11, 20
BOS = 0
MEAN = torch.arange(D) / 10


def suffix(residual: Tensor) -> Tensor:
    """A causal toy: each position reads itself and the mean of the residual so far."""
    W = torch.randn(D, V, generator=torch.Generator().manual_seed(9)).to(residual.dtype)
    steps = torch.arange(1, residual.shape[1] + 1)[None, :, None]
    return torch.tanh(residual + residual.cumsum(1) / steps) @ W * 2


def contexts(count: int, seed: int) -> Contexts:
    """Contexts that begin with BOS and have one more inside, so that special tokens also stand mid-row."""
    generator = torch.Generator().manual_seed(seed)
    residual = torch.randn(count, T, D, generator=generator) + MEAN
    ids = suffix(residual).roll(1, 1).argmax(-1)  # text that the toy predicts well
    ids[:, 0] = BOS
    ids[torch.arange(count), torch.randint(1, T, (count,), generator=generator)] = BOS
    return Contexts(ids, residual, ids == BOS, torch.arange(count), (ids == BOS).cumsum(1))


def measured(sae: SAE, batches: list[Contexts], model=suffix) -> Measured:
    (found,) = evaluate([sae], batches, model, ablations(batches, model, MEAN), SECTION, lambda _: None)
    return found


def numbers(sae: SAE, batches: list[Contexts], model=suffix) -> dict[str, Number]:
    """Without the control."""
    found = measured(sae, batches, model).numbers
    return {metric.name: found[metric.name] for metric in METRICS}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def reference(sae: SAE, batch: Contexts) -> dict[str, float]:
    """Full forwards in float64 and loops over tokens: SAEBench's get_recons_loss and its masks."""
    x = batch.residual.double()
    r = sae.reconstruct(batch.residual.reshape(-1, D)).view_as(x).double()
    special = batch.special[..., None]
    residuals = {
        "clean": x,
        "sae": torch.where(special, x, r),
        "zero": torch.where(special, x, torch.zeros_like(x)),
        "mean": torch.where(special, x, MEAN.double()),
        "sae_all": r,
        "zero_all": torch.zeros_like(x),
    }
    log_q = {name: log_softmax(suffix(residual).numpy()) for name, residual in residuals.items()}
    ids, scored = batch.ids.numpy(), ~batch.special.numpy()
    ce, kl = {}, {}
    for name, q in log_q.items():
        rows = range(len(ids))
        ce[name] = np.mean([-q[b, t, ids[b, t + 1]] for b in rows for t in range(T - 1) if scored[b, t]])
        p = log_q["clean"]
        kl[name] = np.mean(
            [(np.exp(p[b, t]) * (p[b, t] - q[b, t])).sum() for b in rows for t in range(T) if scored[b, t]]
        )
    return {
        "ce_clean": ce["clean"],
        "ce_sae": ce["sae"],
        "ce_zero_ablation": ce["zero"],
        "ce_mean_ablation": ce["mean"],
        "ce_score": (ce["zero"] - ce["sae"]) / (ce["zero"] - ce["clean"]),
        "ce_score_mean": (ce["mean"] - ce["sae"]) / (ce["mean"] - ce["clean"]),
        "kl_sae": kl["sae"],
        "kl_ablation": kl["zero"],
        "kl_score": (kl["zero"] - kl["sae"]) / kl["zero"],
        "ce_loss_without_sae": ce["clean"],
        "ce_loss_with_sae": ce["sae_all"],
        "ce_loss_with_ablation": ce["zero_all"],
        "ce_loss_score": (ce["zero_all"] - ce["sae_all"]) / (ce["zero_all"] - ce["clean"]),
        "kl_div_with_sae": kl["sae_all"],
        "kl_div_with_ablation": kl["zero_all"],
        "kl_div_score": (kl["zero_all"] - kl["sae_all"]) / kl["zero_all"],
    }


def split(batch: Contexts, size: int) -> list[Contexts]:
    return [
        Contexts(*(getattr(batch, each.name)[start : start + size] for each in fields(batch)))
        for start in range(0, len(batch.ids), size)
    ]


@pytest.fixture(scope="module")
def batch() -> Contexts:
    return contexts(10, seed=1)


@pytest.fixture(scope="module")
def sae() -> SAE:
    """Shrinks every dimension: worse than the clean model, better than zeros."""
    return replace(perfect_sae(D), b_enc=torch.full((2 * D,), -0.4))


def test_every_metric_equals_full_forwards_in_float64(batch: Contexts, sae: SAE):
    found = numbers(sae, split(batch, 4))
    expected = reference(sae, batch)
    assert set(found) == set(expected) == {metric.name for metric in METRICS}
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=2e-5), name
    scored = ~batch.special
    assert found["ce_sae"].items == int(scored[:, :-1].sum())
    assert found["kl_sae"].items == int(scored.sum())


def test_keeping_special_tokens_matters_here(batch: Contexts, sae: SAE):
    """Otherwise the two columns would test one another."""
    expected = reference(sae, batch)
    assert abs(expected["ce_score"] - expected["ce_loss_score"]) > 1e-3


def test_a_perfect_sae_gives_the_clean_model(batch: Contexts):
    found = numbers(perfect_sae(D), [batch])
    assert found["ce_sae"].value == found["ce_clean"].value == found["ce_loss_with_sae"].value
    for name in ("ce_score", "ce_score_mean", "ce_loss_score", "kl_score", "kl_div_score"):
        value = found[name]
        assert (value.value, value.low, value.high) == (1, 1, 1), name
    assert found["kl_sae"].value == 0


def test_an_sae_that_gives_zero_scores_zero(batch: Contexts):
    nothing = replace(perfect_sae(D), b_enc=torch.full((2 * D,), -1e6))
    found = numbers(nothing, [batch])
    for name in ("ce_score", "ce_loss_score", "kl_score", "kl_div_score"):
        assert found[name].value == 0, name


def test_contexts_add_up_whatever_the_batches(batch: Contexts, sae: SAE):
    whole, parts = measured(sae, [batch]), measured(sae, split(batch, 3))
    rows = list(parts.tables[CONTEXTS])
    assert [row["context"] for row in rows] == list(range(10))
    for one, other in zip(whole.tables[CONTEXTS], rows, strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    assert set(rows[0]) == {"context", *COLUMNS}


def test_intervals_are_over_contexts(batch: Contexts, sae: SAE):
    value = numbers(sae, [batch])["ce_score"]
    assert value.value is not None
    assert value.low is not None
    assert value.high is not None
    assert value.low < value.value < value.high
    one = numbers(sae, split(batch, 1)[:1])["ce_score"]
    assert one.low is None


def test_certain_predictions_give_finite_numbers(batch: Contexts, sae: SAE):
    """log(softmax) underflows to -inf here and makes 0 * inf = nan; log-softmax does not."""

    def sharp(residual: Tensor) -> Tensor:
        return 500 * suffix(residual)

    assert torch.isinf(sharp(batch.residual).softmax(-1).log()).any()
    found = numbers(sae, [batch], model=sharp)
    for name in ("ce_clean", "ce_sae", "kl_sae", "kl_ablation", "kl_div_with_sae", "kl_div_with_ablation"):
        value = found[name].value
        assert value is not None, name
        assert value > 1, name


def test_a_model_that_ignores_the_layer_has_no_score(batch: Contexts, sae: SAE):
    def blind(residual: Tensor) -> Tensor:
        return torch.zeros(*residual.shape[:2], V)

    found = numbers(sae, [batch], model=blind)
    for name in ("ce_score", "ce_score_mean", "ce_loss_score", "kl_score", "kl_div_score"):
        assert found[name].value is None, name
        assert "ablation changes nothing" in str(found[name].reason)
    assert found["ce_sae"].value == pytest.approx(math.log(V))
    assert found["kl_sae"] == Number(0.0, found["kl_sae"].items, low=0.0, high=0.0)


def test_a_broken_model_is_missing_not_nan(batch: Contexts, sae: SAE):
    def broken(residual: Tensor) -> Tensor:
        return suffix(residual) * torch.tensor(float("nan"))

    found = numbers(sae, [batch], model=broken)
    assert {value.value for value in found.values()} == {None}


def test_no_token_to_score(sae: SAE):
    whole = contexts(2, seed=3)
    columns = (each[:, :1] for each in (whole.ids, whole.residual, whole.special, whole.document))
    ids, residual, special, document = columns
    one_token = Contexts(ids, residual, special, whole.index, document)
    for found in (values(ItemSums(COLUMNS), Resampling(200)), numbers(sae, [one_token])):
        assert {value.reason for value in found.values()} == {"no token to score was evaluated"}


def test_the_clean_model_is_run_once_per_batch_whatever_the_saes(batch: Contexts, sae: SAE):
    calls = []

    def counted(residual: Tensor) -> Tensor:
        calls.append(len(residual))
        return suffix(residual)

    known = ablations([batch], suffix, MEAN)
    evaluate([sae] * 3, [batch], counted, known, SECTION, lambda _: None)
    # once clean; each SAE at non-special tokens, everywhere, and with its decoder permuted
    assert calls == [10] * (1 + 3 * 3)


def test_the_clean_model_sees_the_residual_as_given(batch: Contexts):
    seen = []
    Clean(lambda residual: (seen.append(residual), suffix(residual))[1], batch)
    assert torch.equal(seen[0], batch.residual)


def test_codes_of_windows_read_runs_and_no_special_token() -> None:
    """Reconstructions of whole contexts are those of each run of tokens by itself."""
    batch, made = contexts(4, seed=8), windowed(tokens=3)
    found = of_sae(made)(batch)
    for row in range(4):
        special = batch.special[row].nonzero().flatten().tolist()
        cuts = [*special, *(each + 1 for each in special), T]
        for start, stop in pairwise(sorted({0, *cuts})):
            alone = made.reconstruct(batch.residual[row, start:stop], torch.arange(stop - start))
            torch.testing.assert_close(found[row, start:stop], alone, atol=1e-4, rtol=1e-4)
