"""A score at a common L0: inside the reached range only."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compare.paired.at_target import Point, at

CURVE = [Point(4.0, 0.6, np.array([0.6, 0.7])), Point(16.0, 0.8, np.array([0.8, 0.8])), Point(64.0, 0.9)]


def test_between_two_runs_the_score_is_straight_in_log_l0() -> None:
    found = at(CURVE[::-1], 8)
    assert (found.value, found.how, found.l0, found.slack) == (pytest.approx(0.7), "interpolated", 8, 0.0)
    assert found.draws == pytest.approx([0.7, 0.75])


def test_without_draws_at_one_end_there_are_none_between() -> None:
    assert at(CURVE, 32).draws is None
    assert at(CURVE, 32).value == pytest.approx(0.85)


def test_a_run_exactly_there_is_taken_as_it_is() -> None:
    found = at(CURVE, 16)
    assert (found.value, found.how, found.slack) == (0.8, "reached", 0.0)
    assert found.draws == pytest.approx([0.8, 0.8])


def test_just_outside_the_nearest_run_is_taken_and_the_gap_has_its_worth() -> None:
    found = at(CURVE, 3.8)
    slope = 0.2 / math.log(4)
    assert (found.value, found.how, found.l0) == (0.6, "reached", 4.0)
    assert found.slack == pytest.approx(slope * math.log(3.8 / 4))


def test_nothing_is_extrapolated() -> None:
    found = at(CURVE, 3.5)
    assert (found.value, found.reason) == (None, "L0 3.5 lies outside the reached L0 4 to 64")
    assert at(CURVE[:1], 8).reason == "L0 8 lies outside the reached L0 4"
    assert at([], 8).reason == "no run with an L0"


def test_one_run_has_no_slope() -> None:
    assert at(CURVE[:1], 4.2).slack is None


@pytest.mark.parametrize("target", [16, 8, 15.5])
def test_a_score_that_is_missing_is_not_bridged(target: float) -> None:
    gone = [CURVE[0], Point(16.0, None, None, "too few letters"), CURVE[2]]
    assert (at(gone, target).value, at(gone, target).reason) == (None, "too few letters")


@given(
    st.lists(st.tuples(st.floats(0.5, 500), st.floats(-1, 1)), min_size=1, max_size=6), st.floats(0.5, 500)
)
def test_the_value_lies_within_those_of_the_runs(runs: list[tuple[float, float]], target: float) -> None:
    found = at([Point(l0, value) for l0, value in runs], target)
    reached = [l0 for l0, _ in runs]
    if found.value is None:
        assert target < min(reached) or target > max(reached)
    else:
        values = [value for _, value in runs]
        assert min(values) - 1e-9 <= found.value <= max(values) + 1e-9
        assert min(reached) <= target <= max(reached) or found.how == "reached"
