"""Adaptive Temporal Masking: importance, masks, revival, and what is exported."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.sae.atm import Config, Importance, Method
from pipeline.sae.method.state import Average
from pipeline.sae.method.variant import LoopState
from tests.sae.cases import Case, case
from tests.training.toy import trained


def tools(made: Case, seed: int = 0) -> LoopState:
    generator = torch.Generator().manual_seed(seed)
    return LoopState(made.weights, {}, generator, torch.zeros(made.variant.n, dtype=torch.int64))


def method(made: Case) -> Method:
    assert isinstance(made.variant, Method)
    return made.variant


def test_sharpness_zero_is_standard_bit_for_bit() -> None:
    [ours], [plain] = trained("atm", {"sharpness": 0.0}, l0=[3]), trained("standard", l0=[3])
    for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
        assert torch.equal(getattr(ours.sae, name), getattr(plain.sae, name)), name
    assert ours.log == plain.log
    assert ours.run.l0 == plain.run.l0
    [masked] = trained("atm", {"sharpness": 1.0}, l0=[3])
    assert not torch.equal(masked.sae.W_dec, plain.sae.W_dec)


@pytest.mark.parametrize("value", [0.25, 1.0, 0.3])
def test_constant_importance_masks_nothing(value: float) -> None:
    variant = Method(Config(), 4, 64, 3)
    variant.state.combined = torch.full((64,), value)
    assert float(variant.mask_probability(1.0).max()) < 1e-6  # the mean of equal floats may be off by a bit
    assert value != 1.0 or float(variant.mask_probability(1.0).max()) == 0


def test_mask_probability_formula() -> None:
    importance = np.random.default_rng(0).gamma(0.5, size=40)
    for c, r in ((0.0, 1.0), (0.5, 2.0), (-0.5, 1.0), (-50.0, 1.0)):
        variant = Method(Config(threshold=c), 4, 40, 3)
        variant.state.combined = torch.from_numpy(importance)
        theta = importance.mean() + c * importance.std()
        below = importance < theta
        expected = np.zeros(40)
        if theta > 0:
            expected[below] = 1 - np.exp(-r * (theta - importance[below]) / theta)
        np.testing.assert_allclose(variant.mask_probability(r), expected, atol=1e-12)
        assert (c < -10) == (theta <= 0)


def test_averages_and_importance_match_numpy() -> None:
    """Several steps with masks: naive loops over latents and tokens."""
    decay, n, mixture = 0.9, 20, [0.5, 0.2, 0.3]
    magnitude, own_updates = np.zeros(n), np.zeros(n)
    frequency, contribution = np.zeros(n), np.zeros(n)
    state = Importance()
    rng = np.random.default_rng(0)
    for t in range(5):
        made = case("atm", seed=10 + t, decay=decay, weights=mixture)
        with torch.no_grad():
            made.step.pre[:, 3] = -1  # never fires
            if t != 2:
                made.step.pre[:, 5] = -1  # fires at one step alone
        mask = rng.random(n) < 0.5 if t else np.ones(n, bool)
        state.mask = torch.from_numpy(mask).float()
        made.variant.state = state
        objective, _ = made.run()

        f = np.maximum(made.step.pre.double().numpy(), 0)
        W_dec, b_dec = (made.weights[k].detach().double().numpy() for k in ("W_dec", "b_dec"))
        x = made.step.x.double().numpy()
        seen = f * mask
        error = x - seen @ W_dec - b_dec
        np.testing.assert_allclose(objective.error, error, atol=1e-4)
        for i in range(n):
            fires = f[:, i] > 0
            frequency[i] = decay * frequency[i] + (1 - decay) * fires.mean()
            if fires.any():
                magnitude[i] = decay * magnitude[i] + (1 - decay) * f[fires, i].mean()
                own_updates[i] += 1
            flipped = seen.copy()
            flipped[:, i] = 0 if mask[i] else f[:, i]
            other = ((x - flipped @ W_dec - b_dec) ** 2).sum(1) - (error**2).sum(1)
            rise = (other if mask[i] else -other).mean()
            contribution[i] = decay * contribution[i] + (1 - decay) * max(rise, 0)
        correction = 1 - decay ** (t + 1)
        own = 1 - decay**own_updates
        a = np.divide(magnitude, own, out=np.zeros(n), where=own > 0)
        importance = sum(
            w * v / v.mean()
            for w, v in zip(mixture, (a, frequency / correction, contribution / correction), strict=True)
        )
        np.testing.assert_allclose(made.variant.state.combined, importance, rtol=2e-4, atol=2e-5)
    statistics = made.variant.statistics()
    np.testing.assert_allclose(statistics["magnitude"], a, rtol=2e-4)
    np.testing.assert_allclose(statistics["frequency"], frequency / correction, rtol=2e-4)
    np.testing.assert_allclose(statistics["contribution"], contribution / correction, rtol=2e-4, atol=2e-5)
    assert statistics["magnitude"][3] == 0
    assert own_updates[5] == 1


def test_a_silent_dictionary_has_no_importance_and_no_mask() -> None:
    made = case("atm")
    with torch.no_grad():
        made.step.pre.fill_(-1)
    made.run()
    assert bool((made.variant.state.combined == 0).all())
    assert bool((method(made).mask_probability(1.0) == 0).all())


def test_schedule_of_the_mask() -> None:
    """Nothing in the first tenth, everything the formula says from the second tenth on."""
    importance = torch.tensor([0.0] * 19 + [5.0])  # p = 1 - exp(-r) for all but one

    def share(index: int) -> float:
        total = 0.0
        for seed in range(40):
            made = case("atm", index=index, steps=1000, sharpness=2.0)
            made.variant.state.combined = importance
            made.variant.after_step(made.step, None, tools(made, seed))  # type: ignore[arg-type]
            total += float((made.variant.state.mask[:19] == 0).float().mean()) / 40
            assert made.variant.state.mask[19] == 1
        return total

    assert share(0) == share(100) == 0
    assert share(150) == pytest.approx(1 - np.exp(-1), abs=0.05)
    assert share(200) == pytest.approx(1 - np.exp(-2), abs=0.05)
    assert share(999) == pytest.approx(1 - np.exp(-2), abs=0.05)


def test_a_masked_latent_revives() -> None:
    """Its statistics come from unmasked codes: once it matters, its importance rises and the mask opens."""
    made = case("atm", index=500, steps=1000, sharpness=50.0, decay=0.5)
    made.run()
    with torch.no_grad():
        made.variant.state.combined[2] = 0.0
    made.variant.after_step(made.step, None, tools(made))  # type: ignore[arg-type]
    assert made.variant.state.mask[2] == 0
    for seed in range(8):
        again = case("atm", seed=seed, index=500, steps=1000, sharpness=50.0, decay=0.5)
        again.variant.state = made.variant.state
        with torch.no_grad():
            # along its decoder row the error is large, so that the latent would help if it were on
            again.step.x.copy_(again.weights["W_dec"][2] * 4)
            again.step.pre[:, 2] = 3.0
        objective, gradients = again.run()
        if made.variant.state.mask[2] == 0:
            assert bool((gradients["W_dec"][2] == 0).all())
        again.variant.after_step(again.step, objective, tools(again, seed))
        if made.variant.state.mask[2] == 1:
            break
    assert made.variant.state.mask[2] == 1
    assert made.variant.state.combined[2] > method(made).theta()


def test_hard_inference_removes_latents_below_theta() -> None:
    made = case("atm", inference="hard", threshold=0.2)
    importance = torch.rand(20, generator=torch.Generator().manual_seed(2))
    made.variant.state.combined = importance
    theta = float(importance.double().mean() + 0.2 * importance.double().std(correction=0))
    exported = made.variant.export(made.weights)
    assert exported.threshold is not None
    assert exported.threshold.isinf().tolist() == (importance < theta).tolist()
    assert 0 < int((importance < theta).sum()) < 20
    plain = case("atm").variant.export(made.weights).encode(made.step.x).dense()
    expected = plain * (importance >= theta)
    torch.testing.assert_close(exported.scaled(3.0).encode(made.step.x / 3).dense() * 3, expected,
                               atol=1e-5, rtol=1e-4)  # fmt: skip


def test_gap_between_masked_training_and_inference_is_reported() -> None:
    [one] = trained("atm", {"sharpness": 3.0}, l0=[3])
    assert one.gap is not None
    assert one.gap["training"]["l0"] < one.gap["inference"]["l0"] == one.run.l0
    assert trained("standard", l0=[3])[0].gap is None


def test_a_uniform_mask_masks_as_many_active_codes_and_has_no_preference() -> None:
    often = torch.tensor([0.01] * 10 + [0.1] * 5 + [0.3] * 5)  # of tokens; the rare are masked most
    importance = torch.tensor([0.0] * 10 + [0.5] * 5 + [3.0] * 5)
    masked: dict[str, np.ndarray] = {}
    for mask in ("importance", "uniform"):
        found = []
        made = case("atm", index=900, steps=1000, mask=mask)
        made.variant.state.combined = importance
        made.variant.state.frequency = Average(often.clone(), torch.ones(()))
        for seed in range(600):
            made.variant.after_step(made.step, None, tools(made, seed))  # type: ignore[arg-type]
            found.append((made.variant.state.mask == 0).double().numpy())
        masked[mask] = np.mean(found, axis=0)
    rates = {mask: np.average(each, weights=often.numpy()) for mask, each in masked.items()}
    assert rates["uniform"] == pytest.approx(rates["importance"], abs=0.01)
    assert masked["uniform"].mean() < masked["importance"].mean() / 2
    assert np.ptp(masked["uniform"]) < 0.1
    assert masked["importance"][:10].min() > masked["importance"][10:15].max() > 0
    assert masked["importance"][15:].max() == 0


def test_permuted_importances_are_those_of_other_latents_throughout() -> None:
    """Latent i is masked at the rate of latent order[i]; the order is drawn once and kept by checkpoints."""
    importance = torch.tensor([0.0] * 10 + [9.0] * 10)  # masked almost surely, and never
    made = case("atm", index=900, steps=1000, mask="permuted", sharpness=50.0)
    made.variant.state.combined = importance
    kept = tools(made)
    orders = []
    for _ in range(3):
        made.variant.after_step(made.step, None, kept)  # type: ignore[arg-type]
        orders.append(made.variant.state.order.clone())
        assert made.variant.state.mask.tolist() == (importance[orders[-1]] > 0).float().tolist()
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], torch.arange(20))
    assert "order" in made.variant.state.tensors()
