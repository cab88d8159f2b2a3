"""Costs follow from timed stages; once a block does not fit, none after it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.schedule.order import TYPICAL
from pipeline.study.plan import HOUR, SHARED, plan
from tests.study.made import PARAMS, STUDY, study


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def timed(**seconds: float) -> None:
    Path(".scratch").mkdir(exist_ok=True)
    Path(".scratch/durations.json").write_text(
        json.dumps({name.replace("_at_", "@"): value for name, value in seconds.items()})
    )


SHARED_SECONDS = sum(TYPICAL[stage] for stage in SHARED)


def test_hours_are_seconds_per_sae_times_saes() -> None:
    """Timed with profile `other`: topk, one seed, one target of 1000 tokens."""
    timed(**{"train_at_topk-1": 3.0, "reconstruction_at_topk": 2.0})
    main = plan(study(models={"first": {}, "second": {}}), PARAMS)[0]
    # per model, two seeds, two targets; topk one row, atm two, priced as topk because atm was not timed
    saes = 2 * 2 * 2 * (1 + 2)
    assert main.saes == saes
    assert main.hours * HOUR == pytest.approx(saes * (3.0 + 2.0) + 2 * SHARED_SECONDS)


def test_longer_training_costs_more_and_evaluation_does_not() -> None:
    timed(**{"train_at_topk-1": 3.0, "reconstruction_at_topk": 2.0})
    blocks = {"main": {**STUDY["blocks"]["main"], "set": {"profile.train.tokens": 4000}}}
    main = plan(study(models={"first": {}, "second": {}}, blocks=blocks), PARAMS)[0]
    assert main.hours * HOUR == pytest.approx(main.saes * (4 * 3.0 + 2.0) + 2 * SHARED_SECONDS)


def test_a_model_is_trained_once_and_untimed_stages_are_said() -> None:
    costs = plan(study(blocks={name: STUDY["blocks"]["main"] for name in ("one", "two")}), PARAMS)
    assert costs[0].hours - costs[1].hours == pytest.approx(2.0 + 2 * SHARED_SECONDS / HOUR)
    assert [each.measured_share for each in costs] == [0.0, 0.0]


def test_what_is_done_is_not_left() -> None:
    timed(**{"train_at_topk-1": 3.0, "reconstruction_at_topk": 2.0})
    one = study(models={"first": {}, "second": {}})
    fresh = plan(one, PARAMS)[0]
    assert fresh.left == pytest.approx(fresh.hours)
    # four SAEs of topk on the first language model, twelve with those of atm and its control
    trained = plan(one, PARAMS, done={"main-first": {("train", "topk")}})[0]
    assert trained.left * HOUR == pytest.approx(fresh.hours * HOUR - 4 * 3.0 - SHARED_SECONDS)
    assert trained.complete == 0
    measured = {("train", "topk"), ("reconstruction", "topk")}
    partly = plan(one, PARAMS, done={"main-first": measured})[0]
    assert partly.left * HOUR == pytest.approx(fresh.hours * HOUR - 4 * 5.0 - SHARED_SECONDS)
    assert (partly.complete, partly.saes) == (4, 24)
    assert partly.hours == fresh.hours


@pytest.mark.parametrize(
    ("hours", "fits"), [(100.0, [True, True]), (2.01, [False, False]), (0.001, [False, False])]
)
def test_what_does_not_fit_is_left_out_from_the_end(hours: float, fits: list[bool]) -> None:
    assert [each.fits for each in plan(study(hours=hours), PARAMS)] == fits
