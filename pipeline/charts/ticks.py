"""Ticks of logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

APART = 0.35
"""How far in log a tick stands from its neighbours, so that labels do not touch."""


def log_ticks(low: float, high: float, wanted: Sequence[float] = ()) -> list[float]:
    """The `wanted` ticks, and 1, 2, 5, 10, ... between `low` and `high` where they stand apart from those."""
    round_ones = [base * 10.0**power for power in range(-1, 7) for base in (1, 2, 5)]
    far = [tick for tick in round_ones if all(abs(math.log(tick / each)) > APART for each in wanted)]
    return [*wanted, *(tick for tick in far if low <= tick <= high)]
