"""What each block will cost, in CPU-hours, and which blocks fit into the budget."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from pipeline.numbers.table import Columns, read_table, write_table
from pipeline.schedule.order import TYPICAL, UNKNOWN, Durations
from pipeline.study.gather import COMMAND, FOLDER
from pipeline.study.section import Study
from pipeline.study.workspace import Workspace, workspaces

FILE = FOLDER / "plan.tsv"
Done = Mapping[str, Collection[tuple[str, str]]]
"""By workspace the stages and methods that are done."""
NOTHING: Done = {}

HOUR = 3600.0
TYPICAL_SAES, TYPICAL_TRAINING = 4, 2 * 400_000
"""What the typical seconds of schedule/order.py are for: SAEs; in training times tokens."""
SHARED = ("corpus", "harvest", "letter_task", "probing_task")
"""Stages that run once per language model."""


@dataclass(frozen=True)
class Part:
    """A block's price on one language model, and how far it is."""

    block: str
    model: str
    saes: int
    complete: int  # SAEs with every evaluation of the block
    hours: float  # of one core
    left: float  # hours of what has no result yet
    measured: float  # hours that rest on times of stages measured here


@dataclass(frozen=True)
class Cost:
    """A block's price."""

    block: str
    parts: tuple[Part, ...]
    fits: bool

    @property
    def saes(self) -> int:
        """How many it has on all models."""
        return sum(each.saes for each in self.parts)

    @property
    def complete(self) -> int:
        """Those with every evaluation."""
        return sum(each.complete for each in self.parts)

    @property
    def hours(self) -> float:
        """CPU-hours of all of it."""
        return sum(each.hours for each in self.parts)

    @property
    def left(self) -> float:
        """CPU-hours of what has no result yet."""
        return sum(each.left for each in self.parts)

    @property
    def measured_share(self) -> float:
        """Share of the hours that rests on times of stages measured here."""
        return sum(each.measured for each in self.parts) / self.hours


@dataclass(frozen=True)
class Prices:
    """Seconds of one core per SAE by stage and method; of `train` per SAE and token."""

    per_unit: Mapping[tuple[str, str], float]

    @classmethod
    def of(cls, runs: Iterable[tuple[Mapping[str, float], Mapping[str, Any]]]) -> Prices:
        """From runs: seconds by stage and the params they ran with. Of several the median."""
        found: dict[tuple[str, str], list[float]] = {}
        for seconds, tree in runs:
            for name, value in seconds.items():
                stage, _, item = name.partition("@")
                variant = item.rpartition("-")[0] if stage == "train" else item
                if variant in tree["variants"]:
                    found.setdefault((stage, variant), []).append(value / _units(tree, stage, variant))
        return cls({key: median(values) for key, values in found.items()})

    def of_stage(self, stage: str, variant: str) -> tuple[float, bool]:
        """Seconds per unit and whether they were measured, if need be on other methods."""
        if (stage, variant) in self.per_unit:
            return self.per_unit[stage, variant], True
        others = [value for (name, _), value in self.per_unit.items() if name == stage]
        if others:
            return median(others), True
        return TYPICAL.get(stage, UNKNOWN) / (TYPICAL_TRAINING if stage == "train" else TYPICAL_SAES), False


def plan(study: Study, params: Mapping[str, Any], root: Path = Path(), done: Done = NOTHING) -> list[Cost]:
    """The blocks in their order, of the study that the repository at `root` runs and has `done` so far.

    Once one does not fit, none after it does.
    """
    prices = Prices.of(_runs(study, params, root))
    begun = {each.partition("-")[2] for each in done}
    priced: set[str] = set()
    costs: list[Cost] = []
    total = 0.0
    for name in study.blocks:
        parts = []
        for space in workspaces(study, params, name):
            shared = 0.0 if space.model in priced else _shared(study, space.model)
            priced.add(space.model)
            part = _part(space, prices, done.get(space.name, frozenset()))
            open_ = 0.0 if space.model in begun else shared
            parts.append(replace(part, hours=part.hours + shared, left=part.left + open_))
        total += sum(each.hours for each in parts)
        costs.append(Cost(name, tuple(parts), total <= study.hours))
    return costs


def _shared(study: Study, model: str) -> float:
    """Hours of what runs once for a language model."""
    return study.models[model].hours + sum(TYPICAL[stage] for stage in SHARED) / HOUR


def _part(space: Workspace, prices: Prices, done: Collection[tuple[str, str]]) -> Part:
    seconds = known = left = 0.0
    saes = complete = 0
    for variant in space.params["variants"]:
        here = {stage for stage, name in done if name == variant}
        count = int(_units(space.params, "behavior", variant))
        saes += count
        complete += count if here.issuperset(space.evaluations) else 0
        for stage in _stages(space.evaluations):
            each, measured = prices.of_stage(stage, variant)
            times = len(space.params["seeds"]) if stage == "train" else 1
            part = each * _units(space.params, stage, variant) * times
            seconds += part
            known += part if measured else 0.0
            # an evaluation needs all its SAEs
            left += 0.0 if stage in here or (stage == "train" and here) else part
    return Part(space.block, space.model, saes, complete, seconds / HOUR, left / HOUR, known / HOUR)


def _stages(evaluations: tuple[str, ...]) -> list[str]:
    """What is done for each SAE."""
    return [*evaluations] if evaluations == ("ground_truth",) else ["train", *evaluations]


def _units(tree: Mapping[str, Any], stage: str, variant: str) -> float:
    """What one run of the stage works through: SAEs, in training times tokens."""
    train = tree["profiles"][tree["profile"]]["train"]
    controls = (tree.get(variant) or {}).get("controls") or []
    rows = 1 + len(controls)
    if stage == "train":
        return rows * len(train["l0"]) * float(train["tokens"])
    if stage == "ground_truth":
        return float(rows * len(tree[stage]["l0"]) * len(tree[stage]["seeds"]))
    return float(rows * len(train["l0"]) * len(tree["seeds"]))


def _runs(
    study: Study, params: Mapping[str, Any], root: Path
) -> Iterator[tuple[Mapping[str, float], Mapping[str, Any]]]:
    """What was timed: the repository's own run, and the study so far."""
    yield Durations.read(root).seconds, params
    for block in study.blocks:
        for space in workspaces(study, params, block, root):
            yield Durations.read(space.folder).seconds, space.params


COLUMNS: Columns = {
    "block": str, "model": str, "saes": int, "complete": int, "hours": float, "left": float,
    "measured": float, "fits": str,
}  # fmt: skip


def write(costs: Iterable[Cost]) -> None:
    """Write study/plan.tsv: a row per block and language model."""
    write_table(FILE, COLUMNS, [_row(part, each.fits) for each in costs for part in each.parts])


def _row(part: Part, fits: bool) -> dict[str, Any]:
    """Prices are no better than to a hundredth of an hour."""
    row = asdict(part)
    hours = {name: round(row[name], 2) for name in ("hours", "left", "measured")}
    return {**row, **hours, "fits": "yes" if fits else "no"}


def read(root: Path = Path()) -> pd.DataFrame:
    """What `write` wrote in the repository at `root`; raises BadInput where it is missing or damaged."""
    return read_table(root / FILE, COLUMNS, COMMAND)
