"""Whole runs: resumed, side by side, diverging, refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.parallel.world import World
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.variant import Recipe
from pipeline.store import Batch
from pipeline.training.controller import SparsityController
from pipeline.training.job import Job, method
from pipeline.training.run import train
from pipeline.training.validation import Validation, validation_rows
from tests.training import toy

CPU = torch.device("cpu")
_BASE = Recipe(steps=1, batch=2, lr=1.0)


class Killed(Exception):
    """Stands for the end of the process."""


def eventful(variant: str) -> dict[str, Any]:
    """A config under which masks, resampling and dead latents all happen within 60 steps."""
    return {"decay": 0.8} if variant == "temporal" else {}


SIZES: dict[str, Any] = {"l0": [2, 5], "n": 64, "dead_tokens": 128}


@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_resumed_runs_continue_bit_for_bit(tmp_path: Path, variant: str) -> None:
    """Stopped at step 50, resumed from the checkpoint of step 40."""
    job, section, source = Job.of(variant, eventful(variant), 3), toy.section(**SIZES), toy.store()
    whole = train(job, section, source, CPU)
    steps = []

    def stop(tokens: int, figures: dict[str, float]) -> None:
        steps.append(tokens)
        if len(steps) == 50:
            raise Killed

    with pytest.raises(Killed):
        train(job, section, source, CPU, on_step=stop, checkpoint=tmp_path)
    resumed_steps: list[int] = []
    resumed = train(
        job, section, source, CPU, checkpoint=tmp_path, on_step=lambda tokens, _: resumed_steps.append(tokens)
    )
    assert len(resumed_steps) == 20
    assert len(whole) == 2
    assert all(toy.same(a, b) for a, b in zip(whole, resumed, strict=True))
    again = train(job, section, source, CPU, checkpoint=tmp_path)  # from the checkpoint of the last step
    assert all(toy.same(a, b) for a, b in zip(whole, again, strict=True))


@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_targets_side_by_side_equal_targets_alone(variant: str) -> None:
    together = toy.trained(variant, eventful(variant), **SIZES)
    for one, target in zip(together, SIZES["l0"], strict=True):
        [alone] = toy.trained(variant, eventful(variant), **(SIZES | {"l0": [target]}))
        assert toy.same(one, alone)


def test_seeds_and_readings_differ() -> None:
    a, b = toy.trained("topk", seed=1)[0], toy.trained("topk", seed=2)[0]
    assert not torch.equal(a.sae.W_dec, b.sae.W_dec)
    runs = [toy.trained("standard", control=control)[0] for control in (None, "pairs", "contexts")]
    assert [one.run.name for one in runs] == ["l0-3", "pairs-l0-3", "contexts-l0-3"]
    assert [one.run.reading for one in runs] == ["tokens", "pairs", "contexts"]
    assert not torch.equal(runs[0].sae.W_dec, runs[1].sae.W_dec)
    assert not torch.equal(runs[1].sae.W_dec, runs[2].sae.W_dec)


def test_exported_saes_are_folded_and_have_unit_rows() -> None:
    for variant in toy.VARIANTS:
        one, reader = toy.trainer(variant, steps=30)
        for _ in range(30):
            one.step(reader.next())
        x, past = (batch := reader.next()).x, batch.past
        exported = one.export()
        inside = one.variant.export(one.weights)
        before = exported.window.W_dec if exported.window else exported.W_dec[:0, None]
        rows = torch.cat([exported.W_dec, *before], dim=1)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(48))
        expected = inside.reconstruct(one.scale * x, past) / one.scale
        torch.testing.assert_close(exported.reconstruct(x, past), expected, atol=1e-4, rtol=1e-4)
        codes = inside.encode(one.scale * x, past).dense() / one.scale
        torch.testing.assert_close(exported.encode(x, past).dense(), codes, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", ["topk", "batchtopk", "matryoshka", "contrastive", "txc", "tfa"])
def test_selected_sparsity_is_met(variant: str) -> None:
    [one] = toy.trained(variant, l0=[4], tokens=200 * 64)
    assert one.run.l0 == pytest.approx(4, rel=0.15)
    assert one.run.coefficient is None
    assert one.log[-1]["explained_variance"] > 0.5


# --- divergence is a result


def test_one_target_diverges_and_the_other_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    update = SparsityController.update

    def explode(self: SparsityController, l0: float, step: int) -> None:
        update(self, l0, step)
        if self.target == 2 and step == 10:
            self.coefficient = math.inf

    monkeypatch.setattr(SparsityController, "update", explode)
    broken, fine = toy.trained("standard", **SIZES)
    assert (broken.run.status, fine.run.status) == ("diverged", "ok")
    assert broken.run.reason is not None
    assert "inf" in broken.run.reason
    assert "11" in broken.run.reason
    assert broken.log[-1]["step"] == 10
    assert fine.log[-1]["step"] == 60
    [alone] = toy.trained("standard", **(SIZES | {"l0": [5]}))
    assert toy.same(fine, alone)


def test_a_run_without_a_target_left_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Validation, "fault", lambda self: "broken")
    seen: list[int] = []
    section, job = toy.section(), Job.of("topk", {}, 1)
    [one] = train(job, section, toy.store(), CPU, lambda tokens, _: seen.append(tokens))
    assert one.run.status == "diverged"
    assert len(seen) == 30  # the first check of 60 steps


@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_a_huge_learning_rate_diverges(variant: str) -> None:
    [one] = toy.trained(variant, lr=1e6)
    assert one.run.status == "diverged"
    assert one.run.reason


def test_divergence_at_the_last_step_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """61 steps are checked every third from the 31st on, and at the last."""
    from pipeline.training import run

    real, checks = run.validate, []

    def late(sae: SAE, rows: Batch, world: World) -> Validation:
        checks.append(1)
        value = 0.5 if len(checks) <= 10 else -3.0
        return replace(real(sae, rows), explained_variance=value, norm_ratio=1.0)

    monkeypatch.setattr(run, "validate", late)
    [one] = toy.trained("topk", tokens=61 * 64)
    assert one.run.status == "diverged"
    assert one.run.reason is not None
    assert "step 61" in one.run.reason


def test_a_nan_input_ends_the_run_with_its_weights_untouched() -> None:
    one, reader = toy.trainer("standard")
    one.step(reader.next())
    before = one.weights["W_dec"].detach().clone()
    batch = reader.next()
    batch.x[5, 3] = math.nan
    one.step(batch)
    assert one.diverged is not None
    assert "nan" in one.diverged
    assert torch.equal(one.weights["W_dec"], before)
    assert one.step_index == 1
    one.step(reader.next())
    assert one.step_index == 1


# --- what cannot train is refused


@pytest.mark.parametrize(
    ("variant", "values", "sizes", "message"),
    [
        ("topk", {}, {"l0": [49]}, "dictionary size"),
        ("topk", {}, {"l0": [0]}, "between 1 and"),
        ("topk", {}, {"l0": [3, 3]}, "repeat"),
        ("topk", {}, {"batch": 63}, "even"),
        ("topk", {}, {"tokens": 63}, "no step"),
        ("topk", {}, {"batch": 8192, "tokens": 10**6}, "fewer than one batch"),
        ("nothing", {}, {}, "unknown"),
        ("core", {}, {}, "no variant"),
        ("topk", {"sharpness": 1.0}, {}, "sharpness"),
        ("atm", {"decay": 1.0}, {}, "decay"),
        ("atm", {"weights": [1.0, -1.0, 1.0]}, {}, "weights"),
        ("temporal", {"preset": "theirs"}, {}, "preset"),
        ("matryoshka", {"prefixes": [0.5, 1.5]}, {}, "prefixes"),
        ("tsae", {"scales": [0.1]}, {}, "scales"),
        ("contrastive", {"high": 1.0}, {}, "high"),
        ("contrastive", {"prefix_weights": [1.0]}, {}, "prefix_weights"),
        ("txc", {"window": 0}, {}, "window"),
        ("txc", {"window": 3}, {}, "multiple of 3"),
        ("txc", {"window": 4}, {"l0": [13]}, "52 active latents"),
    ],
)
def test_refusals(variant: str, values: dict[str, Any], sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        toy.trained(variant, values, **sizes)


def test_a_store_without_validation_tokens_is_refused() -> None:
    source = toy.store()
    source.valid[source.split("validation").start : source.split("validation").stop] = False
    with pytest.raises(BadInput, match="validation"):
        train(Job.of("topk", {}, 1), toy.section(), source, CPU)


def test_validation_rows_are_usable_rows_of_that_split() -> None:
    source = toy.store()
    rows = validation_rows(source, 40)
    span = source.split("validation")
    expected = [r for r in span if r % toy.T][:40]
    assert torch.equal(rows.x, torch.stack([source.rows(r, r + 1)[0] for r in expected]))


# --- presets

PRINTED: dict[str, dict[str, Any]] = {
    "atm": {"steps": 2441, "coefficient": 0.04, "optimizer": "adamw"},
    "temporal": {
        "steps": 4882,
        "coefficient": 0.04,
        "optimizer": "adamw",
        "clip": 0.1,
        "scale_gradient": True,
    },
    "tsae": {"steps": 4882, "coefficient": 0.04, "optimizer": "adamw", "clip": 2.0, "warmup": 2000},
}


@pytest.mark.parametrize("variant", PRINTED)
def test_paper_presets(monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    """The printed values stand in the recipe; cut to 20 steps it runs and exports unit rows."""
    config_type, method_type = method(variant)
    recipe_of = method_type.recipe
    made = method_type(config_type.parse({"preset": "paper"}, variant), toy.D, 48, None)
    recipe = recipe_of(made, replace(_BASE, lr=1.0))
    shared = {"batch": 2048, "lr": 3e-4, "input_scaled": False, "unit_decoder": False, "decay": 0}
    for name, value in (PRINTED[variant] | shared).items():
        assert getattr(recipe, name) == value, name
    assert recipe.steps * recipe.batch == pytest.approx(5e6 if variant == "atm" else 10e6, rel=1e-3)
    job = Job.of(variant, {"preset": "paper"}, 1)
    assert job.tokens(toy.section()) == recipe.steps * 2048

    monkeypatch.setattr(method_type, "recipe", lambda self, base: replace(recipe_of(self, base), steps=20))
    monkeypatch.setattr(Validation, "fault", lambda self: None)  # 20 steps at 3e-4 learn nothing yet
    [one] = train(job, toy.section(l0=[3, 5]), toy.store(), CPU)
    assert (one.run.name, one.run.target, one.run.on_target) == ("paper", None, None)
    assert one.run.coefficient == 0.04
    assert one.log[-1]["step"] == 20
    assert one.log[-1]["lr"] <= 3e-4
    torch.testing.assert_close(one.sae.W_dec.norm(dim=1), torch.ones(48))
    assert bool(torch.isfinite(one.sae.W_enc).all())


def test_a_fixed_coefficient_switches_the_controller_off() -> None:
    [one] = toy.trained("standard", {"coefficient": 0.2})
    assert {row["coefficient"] for row in one.log} == {0.2}
    assert one.run.coefficient == 0.2


def test_lr_scale_multiplies_the_learning_rate() -> None:
    [one], [half] = toy.trained("topk"), toy.trained("topk", {"lr_scale": 0.5})
    for a, b in zip(one.log, half.log, strict=True):
        assert b["lr"] == pytest.approx(a["lr"] / 2)


def test_bfloat16_encoder_stays_close() -> None:
    [wide], [narrow] = (toy.trained("topk", precision=p, tokens=150 * 64) for p in ("float32", "bfloat16"))
    assert narrow.log[-1]["explained_variance"] == pytest.approx(wide.log[-1]["explained_variance"], abs=0.05)
    assert not torch.equal(wide.sae.W_dec, narrow.sae.W_dec)
    assert narrow.sae.W_enc.dtype == torch.float32
