"""One measured number: its value or the reason why there is none, its items, its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A `value`, or None with its `reason`. `low`, `high`: its 95 % interval over the items, if it has one.

    Raises ValueError for a value that is not finite, and for a missing one without a reason.
    """

    value: float | None
    items: int = 0  # how many tokens, words, texts, ... it is computed over
    reason: str | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise ValueError("a missing value needs its reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.value} is not a number to report: give None and a reason")


def missing(reason: str) -> Number:
    """A number that could not be computed: never 0, never left out."""
    return Number(None, 0, reason)


def all_missing(names: Iterable[str], reason: str) -> dict[str, Number]:
    """The numbers of `names`, none of which could be computed."""
    return {name: missing(reason) for name in names}
