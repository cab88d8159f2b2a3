"""What this run measured, read back from the tables of `compare`: scores.tsv and summary.tsv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.claims.schema import Relation

if TYPE_CHECKING:
    from pandas import DataFrame

L0 = "reconstruction/l0"
NEAR = 0.10
"""SAEs whose L0 differ by no more than this share count as at one L0, as in the comparison."""

SAE = ["label", "run", "target", "seed"]


@dataclass(frozen=True)
class Measurement:
    """One metric of one run over its seeds."""

    run: str
    target: float | None
    metric: str  # stage/name
    version: int
    l0: float | None  # reached, mean over seeds
    mean: float | None
    low: float | None  # the lowest and highest value of a seed
    high: float | None
    interval: tuple[float, float] | None  # from the lowest to the highest end of the seeds' own intervals
    seeds: int
    of: int
    reason: str  # of the missing ones

    def bounds(self) -> tuple[float, float] | None:
        """What the values may reach over seeds and items together; None below two seeds."""
        if self.low is None or self.high is None or self.seeds < 2 or self.seeds < self.of:
            return None
        low, high = self.interval or (self.low, self.high)
        return min(low, self.low), max(high, self.high)


@dataclass(frozen=True)
class Tables:
    """scores.tsv with each SAE's L0 beside its numbers, and the version of each metric."""

    scores: DataFrame
    versions: Mapping[str, int]

    @classmethod
    def of(cls, scores: DataFrame, summary: DataFrame) -> Tables:
        """Control rows, whose label is no variant, stay reachable under it."""
        scores = scores.assign(metric=scores.stage + "/" + scores.metric)
        l0 = scores[scores.metric == L0].rename(columns={"value": "l0"})
        names = summary.stage + "/" + summary.metric
        return cls(
            scores.merge(l0[[*SAE, "l0"]], on=SAE, how="left"), dict(zip(names, summary.version, strict=True))
        )

    def variants(self) -> set[str]:
        """The variants (and controls) of this run."""
        return set(self.scores.label)

    def measured(self, variant: str, metrics: Iterable[str], relation: Relation | None) -> list[Measurement]:
        """`metrics` of `variant` at each of its targets, or their relation to another variant there."""
        return [
            self._measurement(rows) for metric in metrics for rows in self._runs(variant, metric, relation)
        ]

    def _runs(self, variant: str, metric: str, relation: Relation | None) -> Iterator[DataFrame]:
        of_metric = self.scores[self.scores.metric == metric]
        own = of_metric[of_metric.label == variant]
        if relation is not None:
            own = _related(own, of_metric[of_metric.label == relation.than], relation)
        for _, rows in own.groupby("run", sort=False):
            yield rows

    def _measurement(self, seeds: DataFrame) -> Measurement:
        """`seeds`: a row per seed of one run, with `value`, `low`, `high`, `reason` and `l0`."""
        first = seeds.iloc[0]
        known = seeds[seeds.value.notna()]
        intervals = len(known) > 0 and bool(known[["low", "high"]].notna().all(axis=None))
        return Measurement(
            run=first.run,
            target=_number(first.target),
            metric=first.metric,
            version=int(self.versions[first.metric]),
            l0=_number(seeds.l0.mean()),
            mean=_number(known.value.mean()),
            low=_number(known.value.min()),
            high=_number(known.value.max()),
            interval=(float(known.low.min()), float(known.high.max())) if intervals else None,
            seeds=len(known),
            of=len(seeds),
            reason="; ".join(seeds.reason[seeds.value.isna()].unique()),
        )


def _related(own: DataFrame, other: DataFrame, relation: Relation) -> DataFrame:
    """The relation seed by seed; two SAEs whose L0 differ have none, and no ratio has an interval."""
    pairs = own.merge(other, on=["run", "target", "seed"], suffixes=("", "_other")).sort_values("seed")
    far = ~((pairs.l0 - pairs.l0_other).abs() <= NEAR * pairs.l0_other)
    missing = pairs.value.isna() | pairs.value_other.isna()
    reason = pairs.reason.where(pairs.reason != "", pairs.reason_other)
    reason = reason.mask(~missing & far, f"{relation.than} is at another L0")
    zero = ~missing & ~far & (pairs.value_other == 0)
    reason = reason.mask(zero, f"{relation.than} scores 0 there, so no ratio exists")
    ratio = (pairs.value / pairs.value_other).mask(missing | far | zero)
    value = 1 - ratio if relation.kind == "less" else ratio
    return pairs.assign(value=value, low=float("nan"), high=float("nan"), reason=reason)


def _number(value: Any) -> float | None:
    """`value` as a number; None for NaN."""
    return None if value != value else float(value)
