"""Student's t against SciPy."""

from __future__ import annotations

import pytest
from scipy.stats import t as student

from pipeline.compare.paired.student import quantile, two_sided

DF = [1, 1.3, 2, 7.5, 40, 3000, 1e6]


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("t", [-3.0, 0.0, 1e-4, 0.5, 2.0, 12.0, 300.0])
def test_tails_are_scipys(t: float, df: float) -> None:
    assert two_sided(t, df) == pytest.approx(2 * student.sf(abs(t), df), rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("p", [0.55, 0.8, 0.975, 0.99995])
def test_quantiles_are_scipys(p: float, df: float) -> None:
    assert quantile(p, df) == pytest.approx(student.ppf(p, df), rel=1e-8)


@pytest.mark.parametrize("p", [0.5, 1.0, 0.1])
def test_only_upper_quantiles_are_given(p: float) -> None:
    with pytest.raises(ValueError, match="not between"):
        quantile(p, 3)
