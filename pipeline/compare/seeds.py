"""One number over training seeds: its mean and how far the seeds lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

RUN = ["label", "run", "evaluation", "metric"]


@dataclass(frozen=True)
class Summary:
    """The mean over the seeds that have a value; `seeds` of `of`. Without any, mean is None."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    of: int = 0
    reasons: tuple[str, ...] = ()  # of the missing ones, each once

    @property
    def complete_mean(self) -> float | None:
        """The mean; None unless every seed has a value."""
        return self.mean if self.seeds == self.of else None


def over_seeds(numbers: pd.DataFrame) -> pd.DataFrame:
    """A row per run and metric of `numbers`, in order of first appearance.

    `mean`, `low` and `high` (lowest and highest seed), `sd` (sample standard deviation, from two seeds on),
    `seeds` that have a value `of` all, the fewest `items` any of these rests on, `reasons` of the others.
    """
    known = numbers.value.notna()
    rows = numbers.assign(
        items=numbers["items"].where(known),
        reasons=numbers.reason.fillna("no reason given").where(~known),
    ).groupby(RUN, sort=False)
    return rows.agg(
        target=("target", "first"), better=("better", "first"), unit=("unit", "first"),
        version=("version", "first"), aggregate=("aggregate", "first"), mean=("value", "mean"),
        low=("value", "min"), high=("value", "max"), sd=("value", "std"), seeds=("value", "count"),
        of=("value", "size"), items=("items", "min"), reasons=("reasons", _each_once),
    ).fillna({"items": 0}).astype({"items": "int64"}).reset_index()  # fmt: skip


def _each_once(reasons: pd.Series) -> tuple[str, ...]:
    return tuple(reasons.dropna().unique())


def summarise(table: pd.DataFrame) -> dict[tuple[str, str, str, str], Summary]:
    """The rows of `over_seeds` by (label, run, evaluation, metric)."""
    places = table[RUN].itertuples(index=False, name=None)
    numbers = table[["mean", "low", "high"]].astype(object).where(table["mean"].notna(), None)
    rest = table[["seeds", "of", "reasons"]]
    rows = zip(
        numbers.itertuples(index=False, name=None), rest.itertuples(index=False, name=None), strict=True
    )
    return {place: Summary(*first, *last) for place, (first, last) in zip(places, rows, strict=True)}
