"""Families of comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.compare.paired.estimate import Estimate
from pipeline.compare.paired.verdict import Verdict, holm, judge


def test_holm_by_hand() -> None:
    assert holm(np.array([0.04, 0.01, 0.03, 0.9])).tolist() == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


def test_holm_takes_the_last_axis_as_the_family() -> None:
    p = np.random.default_rng(0).uniform(size=(5, 7))
    assert np.array_equal(holm(p), np.stack([holm(row) for row in p]))


@pytest.mark.parametrize(
    ("value", "error", "margin", "verdict"),
    [
        (0.30, 0.01, None, "better"),
        (-0.30, 0.01, None, "worse"),
        (0.01, 0.01, None, "not distinguishable"),
        (0.30, 0.01, 0.05, "better"),
        (0.01, 0.005, 0.05, "equal within margin"),
        (0.01, 0.001, 0.05, "equal within margin"),  # surely different, by less than what counts
        (0.04, 0.02, 0.05, "not distinguishable"),
        (0.00, 0.00, 0.05, "equal within margin"),
    ],
)
def test_a_verdict_needs_a_sure_difference_or_a_sure_equality(
    value: float, error: float, margin: float | None, verdict: Verdict
) -> None:
    (found,) = judge([Estimate(value, error, 20)], [0.0], "higher", margin)
    assert found.verdict == verdict
    assert (found.p_equal is None) == (margin is None)


def test_lower_is_better_where_the_score_says_so() -> None:
    (found,) = judge([Estimate(0.3, 0.01, 20)], [0.0], "lower", None)
    assert found.verdict == "worse"


def test_both_questions_are_adjusted_over_the_family() -> None:
    each = Estimate(0.02, 0.008, 10)
    one, two = judge([each], [0.0], "higher", 0.04), judge([each] * 4, [0.0] * 4, "higher", 0.04)
    assert (one[0].verdict, two[0].verdict) == ("equal within margin", "not distinguishable")
    assert two[0].p_holm == pytest.approx(4 * two[0].p)
    assert one[0].p_equal == two[0].p_equal
    assert two[0].p_equal_holm == pytest.approx(4 * (two[0].p_equal or 0))


def test_what_unequal_l0_may_be_worth_speaks_against_both() -> None:
    found = [judge([Estimate(0.02, 0.004, 20)], [slack], "higher", 0.04)[0] for slack in (0.0, 0.015)]
    assert found[0].p < found[1].p
    assert (found[0].p_equal or 0) < (found[1].p_equal or 0)
