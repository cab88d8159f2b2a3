"""What more training gives: each method at its best rate of every length that the record has.

A method is judged at its own best rate of each length, because a rate for a short run is not that of a long
one; its other values are those that count now. What it gains from one length to the next says whether a
comparison at the shorter one judges the method or its budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.numbers.table import Columns, write_table
from pipeline.tuning.record import FOLDER, Trial
from pipeline.tuning.search import RATE, Setting, without_rate

TABLE: Columns = dict.fromkeys(
    ("method", "L0", "tokens", "rate", "explained variance", "last gain", "persistence by energy",
     "L0 reached", "dead share"), str,
)  # fmt: skip
JOINED = " / "
"""Between the lengths of a cell."""


@dataclass(frozen=True)
class Point:
    """A method at a length: the trials of its best rate, by target, and the rates that were tried."""

    variant: str
    tokens: int
    rate: float
    tried: tuple[float, ...]
    trials: Mapping[int, Trial]


def points(own: Sequence[Trial], now: Setting, targets: Sequence[int]) -> list[Point]:
    """One method's, shortest first: of its trials `own` those with the values of `now` at any rate."""
    kept = [each for each in own if without_rate(each.values) == without_rate(now)]
    wanted = [each for each in kept if each.target in targets]
    found = [_point([each for each in wanted if each.tokens == n]) for n in _lengths(wanted)]
    return [each for each in found if each is not None]


def nearest(found: Sequence[Point], tokens: int) -> Point | None:
    """The longest of `found` that is shorter than `tokens`, whose best rate a longer search starts from."""
    return max((each for each in found if each.tokens < tokens), key=lambda each: each.tokens, default=None)


def write_lengths(bed: str, found: Sequence[Point], targets: Sequence[int], n: int) -> Path:
    """A row per method and target, a cell's lengths in order; `n` latents make the share of dead ones."""
    path = FOLDER / f"{bed}-length.tsv"
    names = sorted({each.variant for each in found})
    rows = [
        _row(own, target, n)
        for name in names
        for target in targets
        if (own := [each for each in found if each.variant == name and target in each.trials])
    ]
    write_table(path, TABLE, rows)
    return path


def _lengths(trials: Sequence[Trial]) -> list[int]:
    return sorted({each.tokens for each in trials})


def _point(trials: Sequence[Trial]) -> Point | None:
    """Of one length: the rate of the highest explained variance, mean over the targets, if it met them.

    A length may have fewer targets than others; rates are compared where they have the same ones.
    """
    by_rate: dict[float, dict[int, Trial]] = {}
    for each in trials:
        by_rate.setdefault(dict(each.values)[RATE], {})[each.target] = each
    most = max(map(len, by_rate.values()))
    whole = {rate: at for rate, at in by_rate.items() if len(at) == most and _fit(at)}
    met = {rate: at for rate, at in whole.items() if all(each.on_target for each in at.values())} or whole
    if not met:
        return None
    best = max(met, key=lambda rate: sum(each.explained_variance for each in met[rate].values()))
    return Point(trials[0].variant, trials[0].tokens, best, tuple(sorted(by_rate)), met[best])


def _fit(at: Mapping[int, Trial]) -> bool:
    return all(each.status == "ok" for each in at.values())


def _row(found: Sequence[Point], target: int, n: int) -> dict[str, Any]:
    """Of one method and target, shortest first."""
    trials = [each.trials[target] for each in found]
    variances = [each.explained_variance for each in trials]
    return {
        "method": found[0].variant,
        "L0": str(target),
        "tokens": JOINED.join(f"{each.tokens:,}" for each in trials),
        "rate": JOINED.join(f"{each.rate:g}" for each in found),
        "explained variance": JOINED.join(f"{each:.3f}" for each in variances),
        "last gain": f"{variances[-1] - variances[-2]:+.3f}" if len(variances) > 1 else "",
        "persistence by energy": JOINED.join(f"{each.persistence_energy:.3f}" for each in trials),
        "L0 reached": JOINED.join(f"{each.l0:.1f}{'' if each.on_target else '!'}" for each in trials),
        "dead share": JOINED.join(f"{each.dead / n:.2f}" for each in trials),
    }
