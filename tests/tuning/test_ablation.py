"""Switches on and off: which SAEs are trained, what is kept, and what the page says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.tuning.ablated import Ablation
from pipeline.tuning.ablation import (
    Ablated,
    best_of,
    combinations,
    largest_jump,
    path_of,
    read,
    vouch,
    wanted,
)
from pipeline.tuning.ablation_page import write_page
from pipeline.tuning.methods import method_of
from tests.tuning.test_sweep import TOKENS, TREE, ground, here, params, planted

__all__ = ["here"]
SWITCHES = ["temporal_penalty", "gradient_scaling"]
NOW = (("lr_scale", 2.0), ("weight", 1.0))


def ablation(ends: float | None = None, **other: Any) -> Ablation:
    return Ablation(replace(ground(), **other), method_of(params(), "temporal"), SWITCHES, NOW, [7, 8], ends)


def rows(on: frozenset[str], rate: float, **other: Any) -> list[Ablated]:
    return [Ablated(on, each, 1.0) for each in planted({"lr_scale": rate, "weight": 1.0}, **other)]


def test_rates_with_the_first_seed_and_the_best_of_them_with_the_others(here: Path) -> None:
    assert combinations(SWITCHES)[0] == set(SWITCHES)
    assert combinations(SWITCHES)[-1] == set()
    first = wanted(SWITCHES, NOW, [7, 8], [])
    assert {(each.on, dict(each.setting)["lr_scale"]) for each in first} == {
        (on, rate) for on in combinations(SWITCHES) for rate in (1.0, 2.0, 4.0)
    }
    assert {each.seed for each in first} == {7}
    full = frozenset(SWITCHES)
    known = rows(full, 2.0) + rows(full, 4.0, explained_variance=0.95)
    assert [each for each in wanted(SWITCHES, NOW, [7, 8], known) if each.seed == 8] == [
        replace(first[0], setting=(("lr_scale", 4.0), ("weight", 1.0)), seed=8)
    ]


def test_a_rate_that_missed_its_target_or_diverged_is_not_the_best(here: Path) -> None:
    on = frozenset({"temporal_penalty"})
    good = rows(on, 2.0)
    assert best_of(good + rows(on, 4.0, explained_variance=0.99, on_target=False), 7) == NOW
    assert best_of(good + rows(on, 4.0, explained_variance=0.99, status="diverged"), 7) == NOW
    assert best_of(rows(on, 4.0, status="diverged"), 7) is None


def test_the_largest_jump_is_of_the_second_half() -> None:
    steady = [300.0] + [8.0] * 100
    assert largest_jump(steady) == pytest.approx(1.0)
    assert largest_jump([*steady, 16.0, *[8.0] * 20]) == pytest.approx(2.0)
    assert largest_jump([]) == 1.0


def test_an_ablation_is_kept_goes_on_and_is_made_again_for_changed_code(here: Path) -> None:
    Path("params.yaml").write_text(json.dumps(TREE))
    assert len(ablation().missing()) == 4 * 3 * 2
    ablation(ends=0.0).run()
    assert not path_of("small", "temporal").exists()
    ablation().run()
    found = read(path_of("small", "temporal"))
    assert ablation().missing() == []
    assert {each.trial.seed for each in found} == {7, 8}
    assert {each.trial.target for each in found} == {3, 5}
    assert all(each.trial.tokens == TOKENS and each.jump > 0 for each in found)
    penalised = {
        on: {each.trial.explained_variance for each in found if each.on == frozenset(on)}
        for on in ((), ("temporal_penalty",))
    }
    assert not penalised[()] & penalised[("temporal_penalty",)]  # the switch did something
    assert len(ablation(code=lambda _: "changed").missing()) == 4 * 3 * 2
    vouch("small", "temporal", "changed")
    assert ablation(code=lambda _: "changed").missing() == []
    text = write_page(ground().bed, "temporal", SWITCHES).read_text()
    assert "## 640 tokens, L0 5" in text
    assert "| gradient_scaling | the others on |" in text
