"""One number over training seeds: its mean and how far the seeds lie apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.compare.board import MISS, Entry, Measured
from pipeline.compare.headline import Headline, Key


@dataclass(frozen=True)
class Summary:
    """The mean over the seeds that have a value; `seeds` of `of`. Without any, mean is None."""

    mean: float | None
    low: float | None
    high: float | None
    sd: float | None  # sample standard deviation; None below two seeds
    seeds: int
    of: int
    items: int  # the fewest items any seed's value rests on
    reasons: tuple[str, ...]  # of the missing ones, each once

    @property
    def number(self) -> float:
        """The mean, NaN where there is none: what a figure draws, or does not."""
        return math.nan if self.mean is None else self.mean

    @property
    def spread(self) -> float | None:
        """Half the range over seeds; None below two seeds."""
        if self.low is None or self.high is None or self.seeds < 2:
            return None
        return (self.high - self.low) / 2


def summarise(values: Sequence[Measured]) -> Summary:
    """Mean, range and standard deviation of `values`, one per seed."""
    found = [value for value in values if value.value is not None]
    numbers = [value.value for value in found if value.value is not None]
    reasons = tuple(
        dict.fromkeys(value.reason or "no reason given" for value in values if value.value is None)
    )
    if not numbers:
        return Summary(None, None, None, None, 0, len(values), 0, reasons)
    mean = math.fsum(numbers) / len(numbers)
    sd = None
    if len(numbers) > 1:
        sd = math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1))
    items = min(value.items for value in found)
    return Summary(mean, min(numbers), max(numbers), sd, len(numbers), len(values), items, reasons)


def over_seeds(entries: Iterable[Entry], key: Key) -> Summary:
    """The number under `key` over `entries`, the seeds of one run."""
    return summarise([entry.get(key) for entry in entries])


def by_run(entries: Iterable[Entry]) -> list[list[Entry]]:
    """`entries` grouped by (label, run), in order of first appearance: each group is one row of a table."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.label, entry.run), []).append(entry)
    return list(groups.values())


def missed_target(entries: Iterable[Entry], l0: Headline) -> bool:
    """Whether any seed lies more than 10 % of its L0 target from it, on validation or on test tokens."""
    for entry in entries:
        if entry.target is None or entry.diverged:
            continue
        reached = entry.get(l0.key).value
        far = reached is not None and abs(reached - entry.target) > MISS * entry.target
        if far or entry.on_target is False:
            return True
    return False


def bounds(summary: Summary) -> tuple[float, float]:
    """The range over seeds, NaN where there is none."""
    if summary.low is None or summary.high is None:
        return math.nan, math.nan
    return summary.low, summary.high
