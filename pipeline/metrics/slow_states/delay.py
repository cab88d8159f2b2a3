"""How many tokens pass from a change of a state until single columns say the new value.

The reading is on or off: a column's score above the threshold that is best on the other half. It *says* the
new value where the new value's column is on and the old one's is off, and a change is detected at the first
of three tokens in a row that say so. Detection is censored at the end of the state, document or context: the
mean delay, restricted to the first L tokens, is the area under Kaplan and Meier's curve (1958).

A column that is on by chance detects changes where there are none. So the clock is also started inside runs
of the old value; without any false alarm that mean is L, and what it lacks to L is added to the delay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.slow_states.estimates import Estimate
from pipeline.metrics.slow_states.labels import Ints, Labels, State
from pipeline.metrics.slow_states.reading import Reading, threshold

IN_A_ROW = 3
"""Tokens in a row that must say the new value."""

FEWEST = 20
"""Changes below which a state has no mean delay."""


@dataclass(frozen=True)
class Points:
    """M places where the clock starts, and what is waited for."""

    start: Ints  # the token
    old: Ints
    new: Ints
    length: Ints  # tokens that can be seen from there on


@dataclass(frozen=True)
class Clock:
    """The changes of a state, and the places without one that they are compared with."""

    state: State
    changes: Points
    controls: Points

    @classmethod
    def of(cls, state: State, labels: Labels, controls: int, seed: int) -> Clock | None:
        """None for a state with fewer than `FEWEST` changes that can be seen long enough.

        None also where a half has no labels to fit a threshold on, or no old value a place to compare with.
        """
        begins, left = labels.left(state)
        label, before = state.label, np.roll(state.label, 1)
        same = np.ones(len(label), dtype=bool)
        for each in (labels.document, labels.context):
            same &= np.diff(each, prepend=-1) == 0
        seen = (label >= 0) & (left >= IN_A_ROW)
        start = np.flatnonzero(begins & same & seen & (before >= 0))
        halves = all(labels.within(state, half).any() for half in (0, 1))
        changes = Points(start, before[start], label[start], left[start])
        inside = np.flatnonzero(seen & ~begins)
        if len(start) < FEWEST or not halves or not np.isin(label[inside], changes.old).any():
            return None
        return cls(state, changes, _elsewhere(changes, inside, label, left, controls, seed))


def _elsewhere(changes: Points, inside: Ints, label: Ints, left: Ints, controls: int, seed: int) -> Points:
    """For each change, `controls` of the tokens `inside` a run of its old value, drawn at random."""
    rng = np.random.default_rng(seed)
    start, old, new = [], [], []
    for value in np.unique(changes.old):
        wanted, pool = np.flatnonzero(changes.old == value), inside[label[inside] == value]
        if len(pool):
            start.append(rng.choice(pool, len(wanted) * controls))
            old.append(np.repeat(changes.old[wanted], controls))
            new.append(np.repeat(changes.new[wanted], controls))
    where = np.concatenate(start)
    return Points(where, np.concatenate(old), np.concatenate(new), left[where])


@dataclass(frozen=True)
class Survival:
    """Kaplan and Meier's estimate over L tokens: their restricted mean, and who moves it."""

    mean: float
    never: float  # share not detected within L tokens
    influence: np.ndarray  # (M,), of each place on the mean


@dataclass(frozen=True)
class Delay:
    """How quickly one state's changes are detected, in tokens."""

    state: str
    changes: int
    after: Survival
    without: Survival
    found: Estimate  # the delay and what false alarms take from L


def delay(clock: Clock, reading: Reading, labels: Labels, horizon: int) -> Delay:
    """The delay of the changes of one state under `reading`, restricted to `horizon` tokens."""
    on = _on(reading, labels)
    after, without = (
        survival(detected(points, on, horizon), points.length, horizon)
        for points in (clock.changes, clock.controls)
    )
    moved = np.zeros(labels.documents)
    for points, found, sign in ((clock.changes, after, 1), (clock.controls, without, -1)):
        moved += sign * np.bincount(labels.document[points.start], found.influence, labels.documents)
    value = after.mean + horizon - without.mean
    return Delay(clock.state.name, len(clock.changes.start), after, without, Estimate(value, moved))


def _on(reading: Reading, labels: Labels) -> np.ndarray:
    """(N, V) bool: whether each token's own half's column is on, by the threshold of the other half."""
    state, on = reading.state, np.zeros(reading.score[0].shape, dtype=bool)
    for half in (0, 1):
        fitted, here = labels.within(state, 1 - half), labels.half == half
        for value in range(state.values):
            score = reading.score[half][:, value]
            on[here, value] = score[here] > threshold(score[fitted], state.label[fitted] == value)
    return on


def detected(points: Points, on: np.ndarray, horizon: int) -> np.ndarray:
    """(M,): tokens from the start to the first of three that say the new value; `horizon` if none."""
    steps = np.arange(horizon + IN_A_ROW - 1)
    token = np.minimum(points.start[:, None] + steps, len(on) - 1)
    says = on[token, points.new[:, None]] & ~on[token, points.old[:, None]]
    says &= steps < points.length[:, None]
    streak = np.logical_and.reduce([says[:, i : i + horizon] for i in range(IN_A_ROW)])
    return np.where(streak.any(1), streak.argmax(1), horizon)


def survival(delays: np.ndarray, length: np.ndarray, horizon: int) -> Survival:
    """The curve of M places seen for `length` (M,) tokens; `delays` (M,) as `detected` gives them.

    At a delay t are at risk those not detected before it whose state lasts for t and two more tokens.
    """
    t = np.arange(horizon)
    at_risk = (delays[:, None] >= t) & (length[:, None] >= t + IN_A_ROW)
    event = delays[:, None] == t
    risk = at_risk.sum(0)
    hazard = event.sum(0) / np.maximum(risk, 1)
    kept = np.cumprod(1 - hazard)
    # how the area depends on each hazard: what is left before it, times all that follows
    weight = np.zeros(horizon)
    for u in t:
        weight[u] = (kept[u - 1] if u else 1.0) * (1 + np.cumprod(1 - hazard[u + 1 :]).sum())
    influence = -((event - hazard * at_risk) * (weight / np.maximum(risk, 1))).sum(1)
    return Survival(float(kept.sum()), float(kept[-1]), influence)
