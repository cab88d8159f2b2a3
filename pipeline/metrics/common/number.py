"""What an evaluation writes: metric definitions once, one row per SAE with its values.

Every number carries its direction of better, unit, version, item count, seed, weights hash, model,
layer, dictionary size and reached L0. A metric that cannot be computed is `value: null` with its
reason: never 0, never dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

SCHEMA = 1


@dataclass(frozen=True)
class Metric:
    """The definition of one metric."""

    name: str
    better: Literal["higher", "lower", "neither"]
    unit: str  # "share", "nats", "tokens", "count", "squared model units", ...
    version: int  # raised whenever the definition changes, so that old numbers are not laid beside new ones
    definition: str  # one sentence, with its source
    aggregate: bool = True  # False: kept in results.json only, not in the tables


@dataclass(frozen=True)
class Value:
    """One measured number; `value` None needs a `reason`. `low`/`high`: a 95 % interval when there is one."""

    value: float | None
    items: int  # how many tokens, words, texts, ... it is computed over
    reason: str | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise ValueError("a missing value needs its reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.value} is not a number to report: give None and a reason")


def missing(reason: str) -> Value:
    """A value that could not be computed."""
    return Value(None, 0, reason)


def row(identity: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """One SAE's row: its `identity` (variant, seed, ...: see stages/saes.py) and its values."""
    return {**identity, "metrics": {name: asdict(value) for name, value in sorted(values.items())}}


def results(stage: str, variant: str, metrics: list[Metric], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of an evaluation's results.json. Raises ValueError for a value without a definition."""
    defined = {metric.name for metric in metrics}
    for entry in rows:
        unknown = set(entry["metrics"]) - defined
        if unknown:
            raise ValueError(f"{stage}: no definition for {sorted(unknown)}")
    return {
        "schema": SCHEMA,
        "stage": stage,
        "variant": variant,
        "metrics": {metric.name: asdict(metric) for metric in metrics},
        "rows": rows,
    }
