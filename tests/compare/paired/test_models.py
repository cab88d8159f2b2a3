"""Several language models: spread between them and between SAE seeds, and tests that hold both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from pipeline.compare.paired.models import compared, over_models, spread

ROWS, MODELS, SEEDS = 8, 3, 5


def drawn(rng: np.random.Generator, model: float, seed: float) -> np.ndarray:
    """(K, M, S), with a shift per model that all methods share."""
    return (
        model * rng.normal(size=(ROWS, MODELS, 1))
        + seed * rng.normal(size=(ROWS, MODELS, SEEDS))
        + 3 * rng.normal(size=(1, MODELS, 1))
    )


@pytest.mark.parametrize(("model", "seed"), [(0.3, 0.2), (0.1, 0.5), (0.0, 0.4)])
def test_the_components_are_those_that_were_put_in(model: float, seed: float) -> None:
    rng = np.random.default_rng(0)
    found = [spread(drawn(rng, model, seed)) for _ in range(300)]
    assert np.mean([each.seed**2 for each in found]) == pytest.approx(seed**2, rel=0.05)
    of_models = np.mean([each.model**2 for each in found])
    assert of_models == pytest.approx(model**2, abs=0.05 * (model**2 + seed**2))


def test_one_seed_per_model_leaves_all_to_the_model() -> None:
    found = spread(np.random.default_rng(1).normal(size=(6, 4, 1)))
    assert found.seed == 0
    assert found.model > 0


def test_two_methods_are_the_paired_t_test_of_their_means_by_model() -> None:
    values = drawn(np.random.default_rng(2), 0.3, 0.2)[:2]
    rows = {name: over_models(each) for name, each in zip("ab", values, strict=True)}
    ((estimate, judgement),) = compared(rows, [("a", "b")], "higher")
    expected = ttest_rel(values[0].mean(1), values[1].mean(1))
    assert judgement.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))


def test_common_items_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    values = drawn(rng, 0.01, 0.01)[:3]
    shared = rng.normal(size=(3, 200, 1, 1)) + 0.1 * rng.normal(size=(3, 200, MODELS, SEEDS))
    plain = {str(i): over_models(each) for i, each in enumerate(values)}
    drawn_again = {str(i): over_models(each, shared[i], 50) for i, each in enumerate(values)}
    errors = [compared(rows, [("0", "1")], "higher")[0][0].error for rows in (plain, drawn_again)]
    assert errors[1] == pytest.approx(np.sqrt(errors[0] ** 2 + 2), rel=0.2)


def test_more_seeds_per_model_do_not_make_up_for_few_models() -> None:
    rng = np.random.default_rng(4)
    errors = {1: [], 50: []}
    for _ in range(100):
        values = rng.normal(size=(4, 3, 1)) + 0.5 * rng.normal(size=(4, 3, 50))
        for seeds, into in errors.items():
            rows = {str(i): over_models(each[:, :seeds]) for i, each in enumerate(values)}
            into.append(compared(rows, [("0", "1")], "higher")[0][0].error ** 2)
    assert np.mean(errors[50]) > 2 / 3 * 0.8
    assert np.mean(errors[1]) > np.mean(errors[50])


def test_the_pairs_of_one_call_are_one_family() -> None:
    rng = np.random.default_rng(5)
    rows = {str(i): over_models(each) for i, each in enumerate(drawn(rng, 0.1, 0.1))}
    alone = compared(rows, [("0", "1")], "higher")[0]
    beside = compared(rows, [("0", "1"), ("2", "3")], "higher")[0]
    assert alone[0] == beside[0]
    assert beside[1].p_holm >= alone[1].p_holm
