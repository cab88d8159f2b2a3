"""The logistic solvers against scikit-learn and against their own optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pipeline.stats.logistic import balanced, fit_shared, fit_small


def problems(count: int = 6, rows: int = 200, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse, unscaled, noisy features as codes are."""
    g = torch.Generator().manual_seed(1)
    x = (
        8
        * torch.relu(torch.randn(count, rows, k, generator=g))
        * (torch.rand(count, rows, k, generator=g) < 0.3)
    )
    return x.double(), x[:, :, 0] + 2 * torch.randn(count, rows, generator=g) > 5


def reference(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, c: float) -> LogisticRegression:
    model = LogisticRegression(C=c, solver="newton-cholesky", max_iter=1000, tol=1e-12)
    return model.fit(x.numpy(), y.numpy(), sample_weight=weight.numpy())


@pytest.mark.parametrize("c", [0.1, 1.0, 100.0])
def test_small_problems_equal_scikit_learn(c: float) -> None:
    x, y = problems()
    weight = balanced(y, torch.ones_like(y))
    w, b = fit_small(x, y, weight, c)
    for p in range(len(x)):
        model = reference(x[p], y[p], weight[p], c)
        np.testing.assert_allclose(w[p], model.coef_[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(b[p], model.intercept_[0], rtol=1e-4, atol=1e-5)
        predicted = (x[p] @ w[p] + b[p] > 0).numpy()
        np.testing.assert_array_equal(predicted, model.predict(x[p].numpy()))


def test_balanced_is_scikit_learns_class_weight() -> None:
    x, y = problems(2)
    weight = balanced(y, torch.ones_like(y))
    w, _ = fit_small(x, y, weight)
    model = LogisticRegression(class_weight="balanced", solver="newton-cholesky", tol=1e-12, max_iter=1000)
    np.testing.assert_allclose(w[1], model.fit(x[1].numpy(), y[1].numpy()).coef_[0], atol=1e-5)


def test_rows_of_weight_zero_do_not_count() -> None:
    x, y = problems(2)
    include = torch.ones_like(y)
    include[:, 150:] = False
    w, b = fit_small(x, y, balanced(y, include))
    short_w, short_b = fit_small(x[:, :150], y[:, :150], balanced(y[:, :150], include[:, :150]))
    torch.testing.assert_close(w, short_w, atol=1e-9, rtol=0)
    torch.testing.assert_close(b, short_b, atol=1e-9, rtol=0)


def test_one_class_gives_a_probe_that_predicts_nothing() -> None:
    x, y = problems(2)
    y[0] = False
    w, b = fit_small(x, y, balanced(y, torch.ones_like(y)))
    assert not w[0].any()
    assert b[0] == 0
    assert w[1].any()


def test_separable_data_have_a_finite_solution() -> None:
    x = torch.arange(20).double()[None, :, None]
    y = x[..., 0] > 9.5
    w, b = fit_small(x, y, torch.ones(1, 20))
    model = reference(x[0], y[0], torch.ones(20), 1.0)
    np.testing.assert_allclose(w[0], model.coef_[0], rtol=1e-5)
    np.testing.assert_allclose(b[0], model.intercept_[0], rtol=1e-5)


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_shared_problems_equal_scikit_learn(ridge: float) -> None:
    g = torch.Generator().manual_seed(2)
    # a large common mean, as in a residual stream
    x = torch.randn(150, 20, generator=g) + 10 * torch.randn(20, generator=g)
    y = (x - x.mean(0)) @ torch.randn(20, 4, generator=g) + torch.randn(150, 4, generator=g) > 1
    weight = balanced(y.T, torch.ones(4, 150, dtype=torch.bool))
    w, b = fit_shared(x, y.T, weight, ridge, 0.0)
    for p in range(4):
        model = reference(x.double(), y[:, p], weight[p], 1 / ridge)
        np.testing.assert_allclose(w[p], model.coef_[0], rtol=2e-3, atol=2e-4)
        predicted = (x.double() @ w[p] + b[p] > 0).numpy()
        np.testing.assert_array_equal(predicted, model.predict(x.double().numpy()))


def test_shared_penalty_of_the_bias() -> None:
    g = torch.Generator().manual_seed(3)
    x = torch.randn(80, 5, generator=g).double()
    y, weight = x[:, :1].T > 0.5, torch.ones(1, 80).double()
    w, b = fit_shared(x, y, weight, 0.3, 0.7)
    p = torch.sigmoid(x @ w[0] + b[0])
    assert float((p - y[0].double()).sum() + 0.7 * b[0]) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close((p - y[0].double()) @ x, -0.3 * w[0], atol=1e-6, rtol=0)
