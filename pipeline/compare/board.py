"""Every evaluation of every SAE on one board, checked for belonging together.

Takes the parsed JSON of models/sae/*/*/index.json and reports/*/*/results.json; knows no path but
the names it must say when something is missing or stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.compare.headline import TRUTH_STAGE, Key
from pipeline.console.errors import BadInput

SCHEMA = 2
"""The results.json schema this room reads."""

MISS = 0.10
"""An SAE further than this share of its L0 target from it is not compared with the others."""


@dataclass(frozen=True)
class Measured:
    """One number of one SAE; `value` None carries its `reason`."""

    value: float | None
    items: int = 0
    reason: str | None = None
    low: float | None = None  # 95 % interval over items, where the stage gives one
    high: float | None = None


@dataclass(frozen=True)
class Definition:
    """What a metric means, as its stage declares it."""

    better: str
    unit: str
    version: int
    definition: str
    aggregate: bool


@dataclass(frozen=True)
class Entry:
    """One SAE (one seed of one run) with every number measured on it."""

    label: str
    variant: str
    run: str
    target: float | None
    seed: int
    diverged: str | None = None  # the reason
    on_target: bool | None = None
    external: bool = False  # trained elsewhere
    identity: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[Key, Measured] = field(default_factory=dict)

    def get(self, key: Key) -> Measured:
        """The number under `key`; a metric that the stage does not give is missing, with that reason."""
        return self.values.get(key, Measured(None, 0, f"the {key[0]} stage gives no {key[1]}"))


@dataclass(frozen=True)
class Board:
    """All SAEs in the table's order, and the definitions of their numbers."""

    entries: list[Entry]
    truth: list[Entry]
    definitions: Mapping[Key, Definition]


def label(variant: str, run: str, reading: str) -> str:
    """The row's name: the variant, with the reading in brackets where the run is a control."""
    return f"{variant} ({reading})" if run.startswith(reading) else variant


def board(
    indices: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]],
    evaluations: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Board:
    """Put together `indices` by (variant, seed) and `evaluations` by (stage, variant), in their order.

    Raises BadInput when a results file has another schema, lacks an SAE of the index, was measured on
    other weights than its neighbours, or under another version of a metric.
    """
    definitions = _definitions(evaluations)
    entries: dict[tuple[str, str], list[Entry]] = {}
    for (variant, seed), runs in indices.items():
        for run in runs:
            entry = _entry(variant, seed, run, evaluations)
            entries.setdefault((variant, entry.run), []).append(entry)
    truth = [
        _truth_entry(variant, row)
        for (stage, variant), found in evaluations.items()
        if stage == TRUTH_STAGE
        for row in found["rows"]
    ]
    return Board([entry for group in entries.values() for entry in group], truth, definitions)


def _definitions(evaluations: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[Key, Definition]:
    known: dict[Key, tuple[Definition, str]] = {}
    for (stage, variant), found in evaluations.items():
        if found.get("schema") != SCHEMA:
            raise BadInput(
                f"reports/evaluations/{stage}/{variant}/results.json has schema {found.get('schema')!r}, "
                f"not {SCHEMA}: "
                f"run `dvc repro {stage}@{variant}`."
            )
        for name, given in found["metrics"].items():
            definition = Definition(
                given["better"],
                given["unit"],
                given["version"],
                given["definition"],
                given.get("aggregate", True),
            )
            first, owner = known.setdefault((stage, name), (definition, variant))
            if first.version != definition.version:
                raise BadInput(
                    f"{stage}: {name} is version {first.version} for {owner} but {definition.version} for "
                    f"{variant}, so they cannot stand in one table: run `dvc repro {stage}`."
                )
    return {key: definition for key, (definition, _) in known.items()}


def _entry(
    variant: str,
    seed: int,
    run: Mapping[str, Any],
    evaluations: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Entry:
    values: dict[Key, Measured] = {}
    identity: dict[str, Any] = {}
    for (stage, owner), found in evaluations.items():
        if stage == TRUTH_STAGE or owner != variant:
            continue
        row = _row(found, stage, variant, seed, run["name"])
        _same_weights(identity, row, stage, variant)
        identity |= {name: value for name, value in row.items() if name != "metrics"}
        values |= _values(stage, row)
    return Entry(
        label=label(variant, run["name"], run["reading"]),
        variant=variant,
        run=run["name"],
        target=run["target"],
        seed=seed,
        diverged=_diverged(run),
        on_target=run["on_target"],
        external=run["reading"] == "external",
        identity=identity,
        values=values,
    )


def _row(found: Mapping[str, Any], stage: str, variant: str, seed: int, run: str) -> Mapping[str, Any]:
    for row in found["rows"]:
        if row["seed"] == seed and row["run"] == run:
            return row
    raise BadInput(
        f"reports/evaluations/{stage}/{variant}/results.json has no row for seed {seed}, run {run}: "
        f"run `dvc repro {stage}@{variant}`."
    )


def _same_weights(identity: Mapping[str, Any], row: Mapping[str, Any], stage: str, variant: str) -> None:
    before = identity.get("sae_sha256")
    if before is not None and row.get("sae_sha256") not in (None, before):
        raise BadInput(
            f"reports/evaluations/{stage}/{variant} was measured on other weights than the evaluations "
            f"before it (seed {row['seed']}, run {row['run']}): run `dvc repro {stage}@{variant}`."
        )


def _truth_entry(variant: str, row: Mapping[str, Any]) -> Entry:
    run = str(row.get("run", ""))
    return Entry(
        label=str(row.get("label", variant)),
        variant=variant,
        run=run,
        target=row.get("target"),
        seed=row["seed"],
        diverged=_diverged(row),
        on_target=row.get("on_target"),
        identity={name: value for name, value in row.items() if name != "metrics"},
        values=_values(TRUTH_STAGE, row),
    )


def _values(stage: str, row: Mapping[str, Any]) -> dict[Key, Measured]:
    return {
        (stage, name): Measured(
            given["value"], given["items"], given["reason"], given.get("low"), given.get("high")
        )
        for name, given in row["metrics"].items()
    }


def _diverged(run: Mapping[str, Any]) -> str | None:
    if run.get("status") != "diverged":
        return None
    return str(run.get("reason") or "no reason given")
