"""Longest remaining path, and how long is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.schedule.order import DURATIONS, Durations, longest_paths, seconds_left

NEEDS = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []}
TIMES = Durations({"a": 10.0, "b": 1.0, "c": 4.0, "d": 2.0, "e": 3.0})


def test_a_stage_counts_with_the_longest_of_what_waits_for_it() -> None:
    assert longest_paths(NEEDS, TIMES) == {"a": 16.0, "b": 3.0, "c": 6.0, "d": 2.0, "e": 3.0}


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 20.0), (2, 16.0), (9, 16.0)])
def test_the_time_left_is_that_of_the_plan(jobs: int, seconds: float) -> None:
    assert seconds_left(NEEDS, TIMES, {}, jobs) == seconds


def test_what_runs_counts_with_its_rest_and_never_less_than_nothing() -> None:
    left = {name: NEEDS[name] for name in ("b", "c", "d")}
    assert seconds_left(left, TIMES, {"c": 3.0, "b": 50.0}, 2) == 3.0
    assert seconds_left({}, TIMES, {}, 2) == 0.0


def test_an_untimed_stage_counts_as_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Durations.read().of("train@a-1") == Durations.read().of("train@b-2") != Durations.read().of("new")
    kept = Durations({"train@a-1": 2.0})
    kept.write()
    assert Durations.read() == kept
    DURATIONS.write_text("[]")
    assert Durations.read() == Durations()
