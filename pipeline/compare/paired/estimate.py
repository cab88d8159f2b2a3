"""A mean with its standard error and degrees of freedom: what Student's t makes of it.

All functions take numbers or arrays, so that a simulation of ten thousand tables runs the very same lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL, POWER = 0.95, 0.80

Number = Any
"""A float, or an array of them."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its standard error and degrees of freedom."""

    value: float
    error: float  # infinite where nothing is known of it
    df: float
    also: Estimate | None = None  # the same value by another analysis: the larger p of both counts

    @property
    def negative(self) -> Estimate:
        """The same with the other sign."""
        return replace(self, value=-self.value, also=None if self.also is None else self.also.negative)

    def and_also(self, other: Estimate) -> Estimate:
        """This value by this and the `other` analysis: the wider interval, and of each test the larger p.

        The intersection-union test (Berger 1982, Technometrics 24:295): its error is no more than either's.
        """
        wide, narrow = (self, other) if self.half >= other.half else (other, self)
        return replace(wide, also=narrow)

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        return float(half(self.error, self.df))

    @property
    def low(self) -> float:
        """The lower 95 % bound."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """The upper 95 % bound."""
        return self.value + self.half

    @property
    def detectable(self) -> float:
        """The true difference that a two-sided 5 % test finds with a power of 80 %."""
        return self.half + float(stdtrit(self.df, POWER)) * self.error

    def p(self, allowance: float = 0.0) -> float:
        """The two-sided p of a true value no further from 0 than `allowance`."""
        own = float(p_different(self.value, self.error, self.df, allowance))
        return own if self.also is None else max(own, self.also.p(allowance))

    def p_equal(self, margin: float, allowance: float = 0.0) -> float:
        """The p of a true value that lies `margin` or more from 0, `allowance` further off than it looks."""
        own = float(p_equal(self.value, self.error, self.df, margin, allowance))
        return own if self.also is None else max(own, self.also.p_equal(margin, allowance))


def half(error: Number, df: Number) -> Number:
    """Half the width of the 95 % interval."""
    return stdtrit(df, 0.5 + LEVEL / 2) * error


def p_different(value: Number, error: Number, df: Number, allowance: Number = 0.0) -> Number:
    """The two-sided p of no difference but `allowance`; for an error of 0 either 0 or 1."""
    return np.minimum(2 * _upper(np.abs(value) - allowance, error, df), 1.0)


def p_equal(value: Number, error: Number, df: Number, margin: Number, allowance: Number = 0.0) -> Number:
    """The larger p of the two one-sided tests that the true value lies within `margin` of 0.

    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657. Below 5 % exactly when the
    90 % interval lies inside the margin.
    """
    return _upper(margin - np.abs(value) - allowance, error, df)


def _upper(distance: Number, error: Number, df: Number) -> Number:
    """P(T >= distance / error); for an error of 0 that is 0 beyond 0 and 1 elsewhere."""
    error = np.asarray(error, dtype=np.float64)
    known = error > 0
    scaled = np.divide(distance, error, out=np.zeros(np.broadcast(distance, error).shape), where=known)
    return np.where(known, stdtr(df, -scaled), np.where(np.asarray(distance) > 0, 0.0, 1.0))
