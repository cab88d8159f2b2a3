"""One method's score at a common L0: between its runs, never beyond them.

A method is trained at several L0 targets and reaches each of them only nearly. Its score as a function of
log L0 is taken as straight between neighbouring runs of one seed. A target that lies between two
runs gets the interpolated value. A target just outside gets the nearest run's own value while that
run is within 10 % of it, and `slack` says how much the rest of the gap may be worth at the
slope of the nearest piece. Any other target has no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Literal

import numpy as np

from pipeline.sae.core.index import TOLERANCE

How = Literal["interpolated", "reached", ""]


@dataclass(frozen=True)
class Point:
    """One run: the L0 it reached, its score, and the score under each resample of the items (R,)."""

    l0: float
    value: float | None
    draws: np.ndarray | None = None
    reason: str | None = None


@dataclass(frozen=True)
class AtTarget:
    """A score at a common L0; without a value, `reason` says why."""

    value: float | None
    how: How = ""
    l0: float | None = None  # where the value stands: the common L0, or the L0 of the run taken for it
    slack: float | None = 0.0  # what moving from `l0` to the common L0 may add; None where no slope is known
    draws: np.ndarray | None = None
    reason: str | None = None


def at(points: Sequence[Point], target: float) -> AtTarget:
    """The score of the runs `points` of one seed at L0 `target`."""
    points = sorted((point for point in points if point.l0 > 0), key=lambda point: point.l0)
    if not points:
        return AtTarget(None, reason="no run with an L0")
    for left, right in pairwise(points):
        if left.l0 <= target <= right.l0 and left.l0 < right.l0:
            share = log(target / left.l0) / log(right.l0 / left.l0)
            return _between(left, right, share, target)
    nearest = min(points, key=lambda point: abs(log(point.l0 / target)))
    if abs(nearest.l0 - target) > TOLERANCE * target:
        reached = f"{points[0].l0:.3g}" + (f" to {points[-1].l0:.3g}" if len(points) > 1 else "")
        return AtTarget(None, reason=f"L0 {target:g} lies outside the reached L0 {reached}")
    if nearest.value is None:
        return AtTarget(None, reason=nearest.reason)
    slack = _slack(points, nearest, target)
    return AtTarget(nearest.value, "reached", nearest.l0, slack, nearest.draws)


def _between(left: Point, right: Point, share: float, target: float) -> AtTarget:
    """`share` of the way from `left` to `right`; an end that has all the weight needs no other."""
    parts = [(point, weight) for point, weight in ((left, 1 - share), (right, share)) if weight > 0]
    for point, _ in parts:
        if point.value is None:
            return AtTarget(None, reason=point.reason)
    value = sum(weight * point.value for point, weight in parts if point.value is not None)
    known = [weight * point.draws for point, weight in parts if point.draws is not None]
    draws = np.sum(known, axis=0) if len(known) == len(parts) else None
    return AtTarget(value, "interpolated" if len(parts) > 1 else "reached", target, 0.0, draws)


def _slack(points: Sequence[Point], nearest: Point, target: float) -> float | None:
    others = [point for point in points if point.l0 != nearest.l0 and point.value is not None]
    if not others or nearest.value is None:
        return None
    other = min(others, key=lambda point: abs(log(point.l0 / nearest.l0)))
    assert other.value is not None
    slope = (other.value - nearest.value) / log(other.l0 / nearest.l0)
    return slope * log(target / nearest.l0)
