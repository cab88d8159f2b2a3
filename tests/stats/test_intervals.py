from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from pipeline.stats.intervals import bootstrap, pooled, resampled, wilson


def mean(sums):
    return sums["total"] / sums["items"]


def sums_of(values: np.ndarray) -> dict[str, np.ndarray]:
    return {"total": values, "items": np.ones(len(values))}


@pytest.mark.parametrize(("successes", "items"), [(0, 1), (1, 1), (0, 10), (8, 10), (5, 7), (379, 400)])
def test_wilson_is_scipys(successes: int, items: int):
    interval = wilson(successes, items)
    expected = binomtest(successes, items).proportion_ci(0.95, method="wilson")
    assert interval.low == pytest.approx(expected.low, abs=1e-12)
    assert interval.high == pytest.approx(expected.high, abs=1e-12)


@pytest.mark.parametrize(("successes", "items"), [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(successes: int, items: int):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, items)


def test_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    interval = bootstrap(sums_of(values), mean, resamples=4000, seed=1)
    half = norm.ppf(0.975) * values.std() / np.sqrt(len(values))
    assert interval is not None
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        interval = bootstrap(sums_of(rng.exponential(1.0, 60)), mean, resamples=300, seed=trial)
        assert interval is not None
        covered += interval.low <= 1.0 <= interval.high
    assert 0.86 <= covered / 200 <= 0.99


def test_bootstrap_resamples_whole_items_and_pools_them():
    """Against a loop that draws item numbers: equal in distribution."""
    rng = np.random.default_rng(5)
    sums = {"total": rng.random(30) * 5, "items": rng.integers(1, 20, 30).astype(float)}
    interval = bootstrap(sums, mean, resamples=4000, seed=2)
    drawn = rng.integers(0, 30, (4000, 30))
    looped = [sums["total"][row].sum() / sums["items"][row].sum() for row in drawn]
    assert interval is not None
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(looped, [0.025, 0.975]), rtol=0.03)


def test_bootstrap_is_a_function_of_its_seed():
    sums = sums_of(np.arange(20.0))
    assert bootstrap(sums, mean, 200, 7) == bootstrap(sums, mean, 200, 7)
    assert bootstrap(sums, mean, 200, 7) != bootstrap(sums, mean, 200, 8)


def test_no_interval_from_one_item_or_an_undefined_resample():
    assert bootstrap(sums_of(np.ones(1)), mean, 100, 0) is None
    # some resample draws only the items whose denominator is zero
    assert bootstrap({"total": np.ones(2), "items": np.array([0.0, 1.0])}, mean, 100, 0) is None


def test_pooled_is_nan_where_undefined():
    assert pooled(sums_of(np.array([1.0, 2.0, 6.0])), mean) == 3.0
    assert np.isnan(pooled({"total": np.zeros(2), "items": np.zeros(2)}, mean))


def test_equal_item_counts_draw_equal_items():
    """What pairs two tables: the same items are in each resample of both."""
    first, second = np.arange(12.0)[:, None], np.stack([np.ones(12), 3 * np.arange(12.0)], axis=1)
    drawn = resampled(first, 50, 4), resampled(second, 50, 4)
    np.testing.assert_allclose(3 * drawn[0][:, 0], drawn[1][:, 1])
    assert (drawn[1][:, 0] == 12).all()
