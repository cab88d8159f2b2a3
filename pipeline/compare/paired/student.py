"""Student's t with any positive number of degrees of freedom, without SciPy.

P(|T| > t) is the regularised incomplete beta function I_x(df/2, 1/2) at x = df / (df + t^2)
(Abramowitz and Stegun 26.7.1, 26.5.27), evaluated by the continued fraction DLMF 8.17.22.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, log1p, pi, sqrt
from statistics import NormalDist

TINY = 1e-300
PRECISION = 1e-14


def two_sided(t: float, df: float) -> float:
    """P(|T| > |t|) for `df` > 0 degrees of freedom."""
    if t == 0:
        return 1.0
    x = df / (df + t * t)
    return _incomplete_beta(x, t * t / (df + t * t), df / 2, 0.5)


@lru_cache(maxsize=4096)
def quantile(p: float, df: float) -> float:
    """The t below which T lies with probability `p`, for 0.5 < p < 1."""
    if not 0.5 < p < 1:
        raise ValueError(f"{p} is not between 0.5 and 1")
    tail = 2 * (1 - p)
    # the normal quantile is below t's, and the tail is convex: Newton's method climbs without overshooting
    t = NormalDist().inv_cdf(p)
    for _ in range(200):
        step = (two_sided(t, df) - tail) / (2 * _density(t, df))
        t += step
        if abs(step) <= 1e-12 * t:
            break
    return t


def _density(t: float, df: float) -> float:
    scale = lgamma((df + 1) / 2) - lgamma(df / 2)
    return exp(scale - (df + 1) / 2 * log1p(t * t / df)) / sqrt(df * pi)


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b); `rest` is 1 - x, given apart because it may be tiny."""
    if x <= 0 or rest <= 0:
        return float(x > 0)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction 1 / (1 + d1 / (1 + d2 / (1 + ...))), by Lentz's method."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > TINY else TINY)
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1 + coefficient * d
            c = 1 + coefficient / c
            d = 1 / (d if abs(d) > TINY else TINY)
            c = c if abs(c) > TINY else TINY
            value *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return value
