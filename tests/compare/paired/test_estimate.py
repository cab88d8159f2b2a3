"""Student's t of one estimate: intervals, both tests, what can be detected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.compare.paired.estimate import Estimate, p_different, p_equal


def test_the_detectable_size_is_the_textbooks_when_the_error_is_known() -> None:
    assert Estimate(0.0, 0.1, 1e6).detectable == pytest.approx((1.959964 + 0.841621) * 0.1, rel=1e-5)


def test_the_interval_is_students() -> None:
    found = Estimate(0.3, 0.1, 3.7)
    low, high = stats.t.interval(0.95, 3.7, 0.3, 0.1)
    assert (found.low, found.high, found.half) == pytest.approx((low, high, high - 0.3))


def test_two_analyses_give_the_wider_interval_and_the_larger_p() -> None:
    """At 95 % the first is wider, far out the second: with one degree of freedom its tails are heavier."""
    first, second = Estimate(0.9, 0.1, 50), Estimate(0.9, 0.015, 1)
    for both in (first.and_also(second), second.and_also(first)):
        assert (both.low, both.high) == (first.low, first.high)
        assert both.p() == second.p() > first.p()
        assert both.p_equal(1.0) == max(first.p_equal(1.0), second.p_equal(1.0))
        assert both.negative.p(0.1) == both.p(0.1)
        assert both.negative.low == pytest.approx(-both.high)


@given(st.floats(-1, 1), st.floats(0.01, 1), st.floats(1, 50), st.floats(0.01, 1), st.floats(1, 50))
def test_the_interval_of_two_analyses_agrees_with_their_p(
    value: float, error: float, df: float, other: float, other_df: float
) -> None:
    both = Estimate(value, error, df).and_also(Estimate(value, other, other_df))
    if abs(abs(value) - both.half) > 1e-6:
        assert (both.p() < 0.05) == (abs(value) > both.half)


def test_an_allowance_is_taken_off_before_testing() -> None:
    found = Estimate(0.5, 0.1, 10)
    assert found.p(0.2) == pytest.approx(Estimate(0.3, 0.1, 10).p())
    assert found.p(0.5) == found.p(9.0) == 1.0


def test_equality_is_two_one_sided_tests_against_scipy() -> None:
    values = np.random.default_rng(3).normal(0.02, 0.1, 12)
    found = Estimate(float(values.mean()), float(values.std(ddof=1) / 12**0.5), 11)
    above = stats.ttest_1samp(values, -0.15, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.15, alternative="less").pvalue
    assert found.p_equal(0.15) == pytest.approx(max(above, below))


@given(st.floats(-1, 1), st.floats(0.01, 1), st.floats(1, 50), st.floats(0.01, 2), st.floats(0, 0.5))
def test_equal_at_five_percent_is_the_ninety_percent_interval_inside_the_margin(
    value: float, error: float, df: float, margin: float, allowance: float
) -> None:
    half = float(stats.t.ppf(0.95, df)) * error
    room = margin - allowance - abs(value) - half
    if abs(room) > 1e-6:
        assert (Estimate(value, error, df).p_equal(margin, allowance) < 0.05) == (room > 0)


def test_without_an_error_a_number_is_what_it_is() -> None:
    assert Estimate(0.0, 0.0, 1).p() == 1.0
    assert Estimate(0.2, 0.0, 1).p() == 0.0
    assert Estimate(0.0, 0.0, 1).p_equal(0.1) == 0.0
    assert Estimate(0.2, 0.0, 1).p_equal(0.1) == 1.0


def test_arrays_give_what_numbers_give() -> None:
    value, error, df = np.array([0.1, -0.3, 0.0]), np.array([0.1, 0.2, 0.0]), np.array([1.0, 4.5, 3.0])
    each = [Estimate(*numbers) for numbers in zip(value, error, df, strict=True)]
    assert p_different(value, error, df).tolist() == pytest.approx([one.p() for one in each])
    assert p_equal(value, error, df, 0.2).tolist() == pytest.approx([one.p_equal(0.2) for one in each])
