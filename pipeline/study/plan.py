"""What each block will cost, in CPU-hours, and which blocks fit into the budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from pipeline.schedule.order import TYPICAL, UNKNOWN, Durations
from pipeline.study.section import Block, Study
from pipeline.study.workspace import workspaces

HOUR = 3600.0
TYPICAL_SAES, TYPICAL_TRAINING = 4, 2 * 400_000
"""What the typical seconds of schedule/order.py are for: SAEs; in training times tokens."""
SHARED = ("corpus", "harvest", "letter_task", "probing_task")
"""Stages that run once per language model."""


@dataclass(frozen=True)
class Cost:
    """A block's price."""

    block: str
    saes: int
    hours: float  # of one core
    measured: float  # share of the hours that rests on times of stages measured here
    fits: bool


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


def plan(study: Study, params: Mapping[str, Any]) -> list[Cost]:
    """The blocks in their order; once one does not fit, none after it does."""
    prices = Prices.of(_runs(study, params))
    trained: set[str] = set()
    costs: list[Cost] = []
    total, fits = 0.0, True
    for name, block in study.blocks.items():
        new = [study.models[each].hours for each in block.models if each not in trained]
        trained |= set(block.models)
        seconds, known, saes = _block(study, params, name, prices)
        seconds += HOUR * sum(new) + len(new) * sum(TYPICAL[stage] for stage in SHARED)
        total += seconds / HOUR
        fits = fits and total <= study.hours
        costs.append(Cost(name, saes, seconds / HOUR, known / seconds, fits))
    return costs


def _block(study: Study, params: Mapping[str, Any], name: str, prices: Prices) -> tuple[float, float, int]:
    """Seconds, those of them that rest on measured times, and how many SAEs."""
    seconds = known = saes = 0.0
    block = study.blocks[name]
    for space in workspaces(study, params, name):
        for variant in block.variants:
            saes += _units(space.params, "behavior", variant)
            for stage in _stages(block):
                each, measured = prices.of_stage(stage, variant)
                part = (
                    each
                    * _units(space.params, stage, variant)
                    * (len(block.seeds) if stage == "train" else 1)
                )
                seconds += part
                known += part if measured else 0.0
    return seconds, known, int(saes)


def _stages(block: Block) -> list[str]:
    """What is done for each SAE."""
    return block.evaluations if block.evaluations == ["ground_truth"] else ["train", *block.evaluations]


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


def _runs(study: Study, params: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, float], Mapping[str, Any]]]:
    """What was timed: the repository's own run, and the study so far."""
    yield Durations.read().seconds, params
    for block in study.blocks:
        for space in workspaces(study, params, block):
            yield Durations.read(space.folder).seconds, space.params
