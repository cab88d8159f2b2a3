"""What this run measured, read back from the tables of `compare`: scores.tsv and summary.tsv."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.claims.schema import Relation

L0 = "reconstruction/l0"
NEAR = 0.10
"""SAEs whose L0 differ by no more than this share count as at one L0, as in the comparison."""

Row = Mapping[str, str]
"""One line of a table, every cell as text."""


@dataclass(frozen=True)
class Run:
    """The SAEs of one variant at one L0 target (None: a paper preset), all seeds."""

    variant: str
    name: str
    target: float | None


@dataclass(frozen=True)
class Seed:
    """One metric of one SAE; `low` and `high` bound its 95 % interval over items where there is one."""

    value: float | None
    low: float | None
    high: float | None
    reason: str


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


@dataclass
class Tables:
    """scores.tsv by run and metric, and the version of each metric."""

    values: dict[Run, dict[str, dict[int, Seed]]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, scores: Iterable[Row], summary: Iterable[Row]) -> Tables:
        """Index both tables; control rows, whose label is no variant, stay reachable under it."""
        tables = cls()
        for row in scores:
            run = Run(row["label"], row["run"], _number(row["target"]))
            seed = Seed(
                _number(row["value"]), _number(row.get("low")), _number(row.get("high")), row["reason"]
            )
            by_metric = tables.values.setdefault(run, {})
            by_metric.setdefault(_name(row), {})[int(row["seed"])] = seed
        for row in summary:
            tables.versions[_name(row)] = int(row["version"])
        return tables

    def variants(self) -> set[str]:
        """The variants (and controls) of this run."""
        return {run.variant for run in self.values}

    def measured(self, variant: str, metrics: Iterable[str], relation: Relation | None) -> list[Measurement]:
        """`metrics` of `variant` at each of its targets, or their relation to another variant there."""
        runs = [run for run in self.values if run.variant == variant]
        found = []
        for metric in metrics:
            for run in runs:
                seeds = self.values[run].get(metric, {})
                if relation is not None:
                    seeds = self._related(run, metric, relation)
                if seeds:
                    found.append(self._measurement(run, metric, seeds))
        return found

    def _related(self, run: Run, metric: str, relation: Relation) -> dict[int, Seed]:
        """The relation seed by seed; two SAEs whose L0 differ have none."""
        own, other = self.values[run], self.values.get(Run(relation.than, run.name, run.target), {})
        found = {}
        for seed in own.get(metric, {}).keys() & other.get(metric, {}).keys():
            l0 = [each.get(L0, {})[seed].value for each in (own, other)]
            found[seed] = _relation(own[metric][seed], other[metric][seed], relation, l0)
        return dict(sorted(found.items()))

    def _measurement(self, run: Run, metric: str, seeds: Mapping[int, Seed]) -> Measurement:
        values = [seed.value for seed in seeds.values() if seed.value is not None]
        ends = [
            (seed.low, seed.high) for seed in seeds.values() if seed.low is not None and seed.high is not None
        ]
        l0 = [seed.value for seed in self.values[run].get(L0, {}).values() if seed.value is not None]
        reasons = dict.fromkeys(seed.reason for seed in seeds.values() if seed.value is None)
        return Measurement(
            run=run.name,
            target=run.target,
            metric=metric,
            version=self.versions[metric],
            l0=_mean(l0),
            mean=_mean(values),
            low=min(values, default=None),
            high=max(values, default=None),
            interval=(min(low for low, _ in ends), max(high for _, high in ends))
            if ends and len(ends) == len(values)
            else None,
            seeds=len(values),
            of=len(seeds),
            reason="; ".join(reasons),
        )


def _relation(own: Seed, other: Seed, relation: Relation, l0: Sequence[float | None]) -> Seed:
    """The relation of two SAEs of one seed and their `l0`; intervals of two ends make none of a ratio."""
    if own.value is None or other.value is None:
        return Seed(None, None, None, own.reason or other.reason)
    if l0[0] is None or l0[1] is None or abs(l0[0] - l0[1]) > NEAR * l0[1]:
        return Seed(None, None, None, f"{relation.than} is at another L0")
    if other.value == 0:
        return Seed(None, None, None, f"{relation.than} scores 0 there, so no ratio exists")
    ratio = own.value / other.value
    return Seed(1 - ratio if relation.kind == "less" else ratio, None, None, "")


def _name(row: Row) -> str:
    return f"{row['stage']}/{row['metric']}"


def _number(cell: str | None) -> float | None:
    return float(cell) if cell else None


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
