"""temporal: the penalty, its weight alpha, resampling, and the scaling of updates."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch

from pipeline.sae.core.codes import Pairs
from pipeline.sae.method.variant import LoopState, Moments, Step
from pipeline.sae.temporal import FASTEST, Config, Firing, Method, change_penalty
from pipeline.store import Reader
from pipeline.training.job import Job
from pipeline.training.run import Trained, train
from pipeline.training.trainer import Trainer
from tests.sae.cases import Case, case
from tests.training import toy

OFF = {"temporal_penalty": False, "resampling": False, "gradient_scaling": False}
ON: dict[str, dict[str, Any]] = {
    "temporal_penalty": {"temporal_penalty": True, "weight": 1.0},
    "resampling": {"resampling": True},
    "gradient_scaling": {"gradient_scaling": True},
}


def method(made: Case) -> Method:
    assert isinstance(made.variant, Method)
    return made.variant


# --- the whole method


def stepped(values: dict[str, Any], steps: int = 120) -> Trainer:
    """A run in which twelve latents are dead from the start."""
    one, reader = toy.trainer("temporal", {"decay": 0.9, **values}, steps, dead_tokens=256)
    toy.kill(one, range(12))
    for _ in range(steps):
        one.step(reader.next())
    return one


def test_all_switches_off_is_standard_on_pairs() -> None:
    [plain] = toy.trained("standard", control="pairs", tokens=40 * 64)
    [off] = toy.trained("temporal", OFF, tokens=40 * 64)
    assert torch.equal(off.sae.W_dec, plain.sae.W_dec)


def test_each_switch_changes_the_weights() -> None:
    runs = {"none": stepped(OFF)} | {name: stepped({**OFF, **on}) for name, on in ON.items()}
    for a, b in combinations(runs, 2):
        assert not torch.equal(runs[a].weights["W_dec"], runs[b].weights["W_dec"]), (a, b)


def test_resampled_latents_revive() -> None:
    assert bool((stepped(OFF).fired[:12] == 120 * 64).all())
    assert int((stepped({**OFF, "resampling": True}).fired[:12] < 256).sum()) >= 6


@pytest.mark.parametrize("seed", [1, 2])
def test_the_penalty_lowers_flicker_at_matched_l0(seed: int) -> None:
    source = toy.flickering()
    section = toy.section(n=32, l0=[5], tokens=1000 * 64, dead_tokens=10**6)
    values = {**OFF, "weight": 1.0}

    def run(on: bool) -> Trained:
        job = Job.of("temporal", {**values, "temporal_penalty": on}, seed)
        return train(job, section, source, torch.device("cpu"))[0]

    without, with_penalty = run(False), run(True)
    assert with_penalty.run.l0 == pytest.approx(without.run.l0, rel=0.15)
    assert toy.change(with_penalty.sae, source) < 0.7 * toy.change(without.sae, source)


def test_scaling_is_no_uniform_learning_rate() -> None:
    """One step: a control moves all latents by one factor, the scaling moves each by its own."""

    def moved(**values: Any) -> torch.Tensor:
        one, reader = toy.trainer("temporal", {**OFF, **values}, lr=3e-3 * values.get("lr_scale", 1.0))
        before = one.weights["b_enc"].detach().clone()
        one.step(reader.next())
        return one.weights["b_enc"].detach() - before

    plain, faster, scaled = moved(), moved(lr_scale=2.0), moved(gradient_scaling=True)
    torch.testing.assert_close(faster, 2 * plain, rtol=1e-4, atol=0)
    one, reader = toy.trainer("temporal", {**OFF, "gradient_scaling": True})
    one.step(reader.next())
    factor = one.variant.update_scale()
    assert factor is not None
    torch.testing.assert_close(scaled, factor * plain, rtol=1e-4, atol=0)
    assert int((plain != 0).sum()) > 30
    assert factor.max() > 2 * factor.min()


# --- alpha


@pytest.mark.parametrize("preset", ["ours", "paper"])
def test_alpha(preset: str) -> None:
    variant = Method(Config(preset=preset), 4, 8, 2)  # type: ignore[arg-type]
    losses = [2.0, 1.0, 1.5, 4.0, 0.3]
    beta = losses[0]
    for loss in losses:
        beta = 0.99 * beta + 0.01 * loss
        size = beta if preset == "ours" else 1.0
        expected = torch.sigmoid(torch.tensor(5 * (beta - loss) / size, dtype=torch.float64))
        found = variant.alpha(torch.tensor(loss))
        assert float(found) == pytest.approx(float(expected), rel=1e-5)
    assert float(variant.state.beta) == pytest.approx(beta, rel=1e-6)


def test_default_alpha_does_not_depend_on_the_loss_scale() -> None:
    small, large = (Method(Config(), 4, 8, 2) for _ in range(2))
    for loss in (2.0, 1.0, 3.0):
        a, b = small.alpha(torch.tensor(loss)), large.alpha(torch.tensor(1000 * loss))
        torch.testing.assert_close(a, b)


# --- the penalty stays within documents


def as_step(made: Case, batch: Any) -> Step:
    fields = {**vars(made.step), "document": batch.document, "position": batch.position}
    return Step(**{**fields, "context": batch.context})


def test_pairs_of_the_reader_are_true_neighbours() -> None:
    """Every pair that the penalty takes from a stored text: one document, one context, nothing special."""
    source = toy.store()
    reader = Reader(source, "train", "pairs", 64, 0)
    inside = 0
    for _ in range(30):
        batch = reader.next()
        made = case("temporal", batch=64)
        step = as_step(made, batch)
        with torch.no_grad():
            step.pre.fill_(-1.0)
            step.pre[:, 0] = torch.arange(64) % 2 + 1.0  # f alternates 1, 2: each pair costs 1
        pairs = Pairs.where(step.pre > 0)
        penalty = change_penalty(step, step.encode_at(pairs), pairs, step.pre)
        assert float(penalty.detach()) == pytest.approx(1.0)
        row = batch.context * toy.T + batch.position
        assert bool((row[1::2] == row[::2] + 1).all())
        assert bool((batch.document[1::2] == batch.document[::2]).all())
        assert bool(torch.from_numpy(source.valid)[row].all())
        inside += int((batch.position[::2] == 7).sum())  # position 8 begins another document
    assert inside == 0


def test_no_neighbour_no_penalty() -> None:
    made = case("temporal", document=torch.arange(14), weight=1.0)
    objective, _ = made.run()
    assert float(objective.terms["temporal"].detach()) == 0
    gap = case("temporal", position=2 * torch.arange(14), weight=1.0)
    assert float(gap.run()[0].terms["temporal"].detach()) == 0


# --- scaling


def test_scale_formula() -> None:
    """Median over live latents (the first two are below a hundredth of 2/5); mean 1 over the firings."""
    variant = Method(Config(), 4, 5, 2)
    assert variant.update_scale() is None
    variant.state.h = torch.tensor([0.0, 0.003, 0.02, 0.08, 0.9])
    scale = variant.update_scale()
    assert scale is not None
    assert scale.tolist()[:4] == [FASTEST] * 4  # in proportion to `raw` but for the bound
    assert float((scale * variant.state.h).sum() / variant.state.h.sum()) == pytest.approx(1, abs=0.01)
    variant.state.h = torch.tensor([0.2, 0.25, 0.3, 0.35, 0.4])
    within = variant.update_scale()
    assert within is not None
    torch.testing.assert_close(within * variant.state.h, torch.full((5,), 0.3))
    variant.state.h = torch.full((5,), 0.3)
    torch.testing.assert_close(variant.update_scale(), torch.ones(5))
    variant.state.h = torch.zeros(5)
    assert bool(torch.isfinite(variant.update_scale()).all())  # type: ignore[arg-type]
    printed = Method(Config(preset="paper"), 4, 5, 2)
    printed.state.h = torch.tensor([0.001, 0.02, 0.04, 0.08, 0.9])
    expected = torch.tensor([10.0, 10.0, 10.0, 10.0, 1 / 0.9])
    torch.testing.assert_close(printed.update_scale(), expected, rtol=1e-4, atol=0)


def test_firing_rates_are_averages_over_tokens() -> None:
    state = Firing()
    h, weight = torch.zeros(20, dtype=torch.float64), 0.0
    for seed in range(4):
        made = case("temporal", seed=seed, decay=0.9)
        made.variant.state = state
        made.run()
        h = 0.9 * h + 0.1 * (made.step.pre > 0).double().mean(0)
        weight = 0.9 * weight + 0.1
        assert state.h is not None
        torch.testing.assert_close(state.h.double(), h / weight, atol=1e-6, rtol=1e-5)


# --- resampling


Event = tuple[Case, LoopState, dict[str, torch.Tensor], torch.Tensor]


def moments_of_one(made: Case) -> dict[str, Moments]:
    return {
        name: Moments(torch.ones(()), torch.ones_like(w), torch.ones_like(w))
        for name, w in made.weights.items()
    }


def both(moments: Moments) -> tuple[torch.Tensor, torch.Tensor]:
    return moments.first, moments.second


def resampled(
    dead: tuple[int, ...], index: int = 20, fired_now: tuple[int, ...] = (), **config: Any
) -> Event:
    """After an event: the case, its tools, the weights as they were, and the error of the batch."""
    made = case("temporal", dead=dead, index=index, l0=2, **config)
    with torch.no_grad():
        made.step.pre[:, list(dead)] = -1.0
    objective, _ = made.run()
    before = {name: w.detach().clone() for name, w in made.weights.items()}
    moments = moments_of_one(made)
    fired = torch.where(made.step.dead, 1000, 0)
    fired[list(fired_now)] = 0
    tools = LoopState(made.weights, moments, torch.Generator().manual_seed(0), fired)
    made.variant.after_step(made.step, objective, tools)
    return made, tools, before, objective.error


def test_resampling_replaces_dead_latents_alone() -> None:
    dead = [3, 8, 11]
    made, tools, before, error = resampled((3, 8, 11), resample_cap=1.0)
    alive = [i for i in range(20) if i not in dead]
    directions = error / error.norm(dim=1, keepdim=True)
    mean_norm = before["W_enc"].norm(dim=0)[alive].mean()
    for i in dead:
        row = made.weights["W_dec"][i].detach()
        assert (directions - row).norm(dim=1).min() < 1e-6  # a residual of the batch
        torch.testing.assert_close(made.weights["W_enc"][:, i].detach(), 0.2 * mean_norm * row)
        along = ((made.step.x - before["b_dec"]) @ made.weights["W_enc"].detach())[:, i]
        fires = along + made.weights["b_enc"].detach()[i] > 0
        assert int(fires.sum()) == 1  # of 14 tokens: the target rate is 2/20
        assert tools.fired[i] == 0  # a grace period
    for name in ("W_enc", "W_dec", "b_enc"):
        for tensor, old in ((made.weights[name].detach(), before[name]), *(
            (moment, torch.ones_like(before[name])) for moment in both(tools.moments[name])
        )):  # fmt: skip
            kept, changed = (tensor, old) if name != "W_enc" else (tensor.T, old.T)
            assert torch.equal(kept[alive], changed[alive]), name
        for moment in both(tools.moments[name]):
            assert bool(((moment.T if name == "W_enc" else moment)[dead] == 0).all()), name
    assert all(bool((m == 1).all()) for m in both(tools.moments["b_dec"]))
    assert torch.equal(made.weights["b_dec"].detach(), before["b_dec"])
    corrected = made.variant.state.rate.value()
    torch.testing.assert_close(corrected[dead], torch.full((3,), 2 / 20))


def test_resampling_is_capped_and_takes_the_lowest_first() -> None:
    made = case("temporal", dead=(2, 5, 9), index=20, l0=2, resample_cap=0.1)
    objective, _ = made.run()
    h = made.variant.state.h
    h[:] = 0.5
    h[[2, 5, 9]] = torch.tensor([3e-4, 1e-4, 2e-4])
    before = made.weights["W_dec"].detach().clone()
    moments = moments_of_one(made)
    tools = LoopState(made.weights, moments, torch.Generator().manual_seed(0), torch.full((20,), 99))
    made.variant.after_step(made.step, objective, tools)
    changed = (made.weights["W_dec"].detach() != before).any(1).nonzero().squeeze(1).tolist()
    assert changed == [5, 9]  # 0.1 * 20 = 2 of the three


@pytest.mark.parametrize(
    ("index", "due"), [(0, False), (5, False), (10, True), (12, False), (75, True), (80, True), (85, False)]
)
def test_when_resampling_is_due(index: int, due: bool) -> None:
    made, _, before, _ = resampled((3,), index=index)
    assert bool((made.weights["W_dec"][3] != before["W_dec"][3]).any()) == due


def test_a_latent_that_just_fired_is_not_dead() -> None:
    made, _, before, _ = resampled((3, 8), fired_now=(3,), resample_cap=1.0)
    assert torch.equal(made.weights["W_dec"][3].detach(), before["W_dec"][3])
    assert not torch.equal(made.weights["W_dec"][8].detach(), before["W_dec"][8])


@pytest.mark.parametrize(
    ("index", "due"),
    [(0, False), (100, True), (150, False), (1000, True), (1100, False), (1500, True)],
)
def test_printed_resampling(index: int, due: bool) -> None:
    """Every 100 steps up to 1000, then every 500; new rows are inputs, x/|x|, in encoder and decoder."""
    made, _, before, _ = resampled((3,), index=index, preset="paper")
    row = made.weights["W_dec"][3].detach()
    assert torch.equal(row, before["W_dec"][3]) != due
    if due:
        inputs = made.step.x / made.step.x.norm(dim=1, keepdim=True)
        assert (inputs - row).norm(dim=1).min() < 1e-6
        torch.testing.assert_close(made.weights["W_enc"][:, 3].detach(), row)


def test_rows_are_drawn_in_proportion_to_squared_error() -> None:
    counts = torch.zeros(14)
    made = case("temporal", dead=(3,), index=20, l0=2)
    made.step.pre[:, 3] = -1.0
    objective, _ = made.run()
    share = objective.error.square().sum(1)
    directions = objective.error / objective.error.norm(dim=1, keepdim=True)
    generator = torch.Generator().manual_seed(0)
    moments = moments_of_one(made)
    for _ in range(600):
        made.variant.state.rate.total[3] = 0
        made.variant.state.h[3] = 0
        tools = LoopState(made.weights, moments, generator, torch.full((20,), 99))
        made.variant.after_step(made.step, objective, tools)
        counts[(directions @ made.weights["W_dec"][3].detach()).argmax()] += 1
    torch.testing.assert_close(counts / 600, share / share.sum(), atol=0.06, rtol=0)
