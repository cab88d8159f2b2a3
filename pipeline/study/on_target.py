"""Which seeds and L0 targets a comparison rests on when some SAEs missed their target.

A seed at which either row missed a target is left out of that comparison at all its targets, so that every
number has both rows of one seed; a target that too many seeds missed is left out instead. What is left out
follows from L0 alone, never from the score, and is named beside the effect. The effect is then one of SAEs
that met their L0: how often a method does is told by what was left out (ours).
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import pandas as pd

from pipeline.study.gather import met

FEWEST = 3
"""Seeds of each language model that must be left, and more than half of those that were trained."""
Seeds = Set[tuple[str, int]]


@dataclass(frozen=True)
class Kept:
    """What a comparison rests on."""

    targets: list[int]
    dropped: Seeds  # (model, seed) left out at every target
    left_out: str  # what is, in words; empty where nothing is


def on_target(both: pd.DataFrame) -> Kept:
    """Of the SAEs of two rows, measured with the same seeds at the same targets on every model."""
    bad = both[~met(both)]
    missed = {int(target): _seeds(bad[bad.target == target]) for target in both.target.unique()}
    trained = _seeds(both)
    targets = sorted(missed)
    while targets and not _enough(trained, _union(missed, targets)):
        targets.remove(max(targets, key=lambda target: (len(missed[target]), target)))
    dropped = _union(missed, targets)
    said = [f"L0 {target} ({_who(both, target)})" for target in sorted(missed.keys() - {*targets})]
    if dropped:
        whose = "; ".join(f"L0 {target}: {_who(both, target)}" for target in targets if missed[target])
        said.append(f"{len(dropped)} of {len(trained)} seeds ({whose})")
    return Kept(targets, dropped, "; ".join(said))


def _seeds(rows: pd.DataFrame) -> Seeds:
    return {(str(model), int(seed)) for model, seed in zip(rows.model, rows.seed, strict=True)}


def _union(missed: dict[int, Seeds], targets: list[int]) -> Seeds:
    return {each for target in targets for each in missed[target]}


def _enough(trained: Seeds, dropped: Seeds) -> bool:
    """Whether every language model keeps enough seeds; with nothing left out it does."""
    for model in {model for model, _ in dropped}:
        every = sum(own == model for own, _ in trained)
        left = every - sum(own == model for own, _ in dropped)
        if left < FEWEST or 2 * left <= every:
            return False
    return True


def _who(both: pd.DataFrame, target: int) -> str:
    """How many SAEs of which row missed `target`."""
    said = []
    for label, part in both[both.target == target].groupby("label", sort=False):
        missed = int((~met(part)).sum())
        if missed:
            said.append(f"{missed} of {len(part)} SAEs of {label} missed it")
    return ", ".join(said)
