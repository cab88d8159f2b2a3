"""The record of a sweep: one row per trial and L0 target, committed under docs/tuning.

What a trial was made on is part of its row: `basis`, a hash of the parameters that the bed depends on, and
`weights`, the language model's. A trial with the same of both, the same length, seed and values is not run
again, unless the `code` of the method has changed since; the new row then takes its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pipeline.numbers.table import Columns, read_table, write_table
from pipeline.tuning.search import Outcome, Setting

FOLDER = Path("docs/tuning")
HASH = 12
"""Characters of a hash that the record keeps."""


@dataclass(frozen=True)
class Bed:
    """What trials are made on: a name and hashes of its parameters and of its language model's weights."""

    name: str
    basis: str
    weights: str  # "" where there is none


@dataclass(frozen=True)
class Trial:
    """One SAE of the sweep, measured on validation tokens."""

    variant: str
    values: Setting  # the tuned ones
    others: str  # hash of the section's other values
    tokens: int  # encoded in training
    target: int
    status: str  # ok | diverged
    on_target: bool
    l0: float
    explained_variance: float
    norm_ratio: float
    persistence: float
    persistence_energy: float
    dead: int  # latents, at the end of training
    seconds: float  # of one core
    seed: int
    basis: str
    weights: str
    code: str  # hash of the method's code

    @property
    def key(self) -> tuple[Any, ...]:
        """What says that a trial is the same one, with whatever code."""
        made = (self.tokens, self.target, self.seed, self.basis, self.weights)
        return (self.variant, self.values, self.others, *made)


KINDS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": str, "Setting": str}
COLUMNS: Columns = {each.name: KINDS[str(each.type)] for each in fields(Trial)}


def path_of(bed: str) -> Path:
    """The table of the bed of this name: a profile, or `ground_truth`."""
    return FOLDER / f"{bed}.tsv"


def read_trials(path: Path) -> list[Trial]:
    """The trials of a record, none where there is no file; raises BadInput for a damaged one."""
    if not path.exists():
        return []
    table = read_table(path, COLUMNS, "tune")
    return [trial_of(row) for row in table.to_dict("records")]


def write_trials(path: Path, trials: Iterable[Trial]) -> None:
    """All of them, in an order that does not depend on which ended first."""
    write_table(path, COLUMNS, [row_of(each) for each in sorted(trials, key=lambda each: each.key)])


def row_of(trial: Trial) -> dict[str, Any]:
    """Its row of the table."""
    values = " ".join(f"{name}={value!r}" for name, value in trial.values)
    return asdict(trial) | {"values": values, "on_target": "yes" if trial.on_target else "no"}


def trial_of(row: Mapping[Any, Any]) -> Trial:
    """The trial of a row of the table."""
    pairs = [each.split("=") for each in row["values"].split()]
    values = tuple((name, float(value)) for name, value in pairs)
    return Trial(**{**row, "values": values, "on_target": row["on_target"] == "yes"})


def hashed(values: Any) -> str:
    """A short SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:HASH]


def of_method(
    trials: Iterable[Trial], bed: Bed, variant: str, others: str, seed: int, code: str | None = None
) -> list[Trial]:
    """The trials of `variant` on `bed` as it is now, whatever their length; with `code`, made by it."""
    wanted = (variant, others, seed, bed.basis, bed.weights)
    return [
        each for each in trials
        if (each.variant, each.others, each.seed, each.basis, each.weights) == wanted
        and code in (None, each.code)
    ]  # fmt: skip


def put_in(trials: Iterable[Trial], new: Trial) -> list[Trial]:
    """`trials` with `new`, in place of the same trial made by older code."""
    return [*(each for each in trials if each.key != new.key), new]


def vouched(trials: Iterable[Trial], variant: str, code: str) -> list[Trial]:
    """`trials` with those of `variant` counted as made by `code`: somebody says that nothing else changed."""
    return [replace(each, code=code) if each.variant == variant else each for each in trials]


def outcomes(trials: Iterable[Trial], targets: Iterable[int], tokens: int) -> dict[Setting, Outcome | None]:
    """What each setting gave at `tokens`, mean over `targets`; a setting without all of them is left out."""
    by_setting: dict[Setting, dict[int, Trial]] = {}
    for each in trials:
        if each.tokens == tokens:
            by_setting.setdefault(each.values, {})[each.target] = each
    wanted = list(targets)
    return {
        setting: _outcome([found[target] for target in wanted])
        for setting, found in by_setting.items()
        if found.keys() >= set(wanted)
    }


def _outcome(trials: list[Trial]) -> Outcome | None:
    """Of one setting over its targets; None where one diverged."""
    if any(each.status != "ok" for each in trials):
        return None
    return Outcome(
        explained_variance=sum(each.explained_variance for each in trials) / len(trials),
        persistence_energy=sum(each.persistence_energy for each in trials) / len(trials),
        met=all(each.on_target for each in trials),
    )
