"""A method's switches, every combination of on and off: which are trained at which rate, and their record.

Rates matter to a switch as to a method: with the first seed each combination is trained at the tuned rate, at
half and at twice it, and with the other seeds at the best of these, by the rule of the search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from pipeline.numbers.table import Columns, read_table, write_table
from pipeline.tuning.methods import Method
from pipeline.tuning.record import COLUMNS, FOLDER, Trial, row_of, trial_of
from pipeline.tuning.search import RATE, Setting, put
from pipeline.tuning.trial import Ground, Piece

On = frozenset[str]
"""The switches that are on."""

TABLE: Columns = {"on": str, **COLUMNS, "jump": float}
BEFORE, AFTER, SETTLED = 5, 20, 0.5
"""Steps whose mean L0 a jump starts from, steps in which it happens, and the share of training before it."""


@dataclass(frozen=True)
class Ablated:
    """One SAE: which switches were on, what was measured, and the largest `jump` of its L0 in training."""

    on: On
    trial: Trial
    jump: float  # as a factor, in the second half of training

    @property
    def key(self) -> tuple[Any, ...]:
        """What says that it is the same one."""
        return (*sorted(self.on), "", *self.trial.key)

    def counts(self, ground: Ground, method: Method, switches: Sequence[str]) -> bool:
        """Whether it was made on `ground`, at its length, with the code as it is now."""
        trial, bed, others = self.trial, ground.bed, switched(method, switches, self.on).hash
        made = (trial.tokens, trial.others, trial.basis, trial.weights, trial.code)
        return made == (ground.section.tokens, others, bed.basis, bed.weights, ground.code(method.variant))


@dataclass(frozen=True)
class Wanted:
    """One SAE to be trained."""

    on: On
    setting: Setting
    seed: int


def path_of(bed: str, variant: str) -> Path:
    """The record of the switches of `variant` on the bed of this name."""
    return FOLDER / f"{bed}-{variant}.tsv"


def read(path: Path) -> list[Ablated]:
    """The rows of a record, none where there is no file; raises BadInput for a damaged one."""
    if not path.exists():
        return []
    rows = read_table(path, TABLE, "ablate").to_dict("records")
    return [
        Ablated(frozenset(row.pop("on").split()), jump=row.pop("jump"), trial=trial_of(row)) for row in rows
    ]


def write(path: Path, rows: Iterable[Ablated]) -> None:
    """All of them, in an order that does not depend on which ended first."""
    ordered = sorted(rows, key=lambda each: (sorted(each.on), each.trial.key))
    write_table(
        path, TABLE,
        [{"on": " ".join(sorted(each.on)), "jump": each.jump, **row_of(each.trial)} for each in ordered],
    )  # fmt: skip


def vouch(bed: str, variant: str, code: str) -> None:
    """Count the record, if there is one, as made by `code`."""
    path = path_of(bed, variant)
    if rows := read(path):
        write(path, [replace(each, trial=replace(each.trial, code=code)) for each in rows])


def combinations(switches: Sequence[str]) -> list[On]:
    """All on first, all off last."""
    states = product((True, False), repeat=len(switches))
    return [frozenset(name for name, on in zip(switches, each, strict=True) if on) for each in states]


def wanted(
    switches: Sequence[str], now: Setting, seeds: Sequence[int], known: Iterable[Ablated]
) -> list[Wanted]:
    """What is to be trained, the first seed's three rates before the other seeds, as far as `known` says."""
    rows, rate = list(known), dict(now)[RATE]
    first = [
        Wanted(on, put(now, RATE, factor * rate), seeds[0])
        for factor in (1.0, 0.5, 2.0)
        for on in combinations(switches)
    ]
    best = {on: best_of([each for each in rows if each.on == on], seeds[0]) for on in combinations(switches)}
    return first + [
        Wanted(on, setting, seed) for seed in seeds[1:] for on, setting in best.items() if setting is not None
    ]


def best_of(rows: Sequence[Ablated], seed: int) -> Setting | None:
    """The setting of the highest explained variance with `seed`, mean over the targets, of those that met
    them; where none did, of all that did not diverge at any target. None without one.
    """
    by_setting: dict[Setting, list[Trial]] = {}
    for each in rows:
        if each.trial.seed == seed:
            by_setting.setdefault(each.trial.values, []).append(each.trial)
    most = max(map(len, by_setting.values()), default=0)
    whole = {
        setting: found for setting, found in by_setting.items()
        if len(found) == most and all(each.status == "ok" for each in found)
    }  # fmt: skip
    met = {key: found for key, found in whole.items() if all(each.on_target for each in found)} or whole
    return max(met, key=lambda key: mean(each.explained_variance for each in met[key]), default=None)


def train_one(ground: Ground, method: Method, switches: Sequence[str], piece: Wanted, target: int) -> Ablated:
    """Train and measure one SAE."""
    section = ground.section.model_copy(update={"l0": [target]})
    l0: list[float] = []
    trial = replace(ground, seed=piece.seed).try_out(
        Piece(switched(method, switches, piece.on), piece.setting, section),
        lambda _, figures: l0.append(figures.get("l0", 0.0)),
    )
    return Ablated(piece.on, trial, largest_jump(l0))


def switched(method: Method, switches: Sequence[str], on: On) -> Method:
    """`method` with these of its switches on and the others off."""
    return replace(method, others={**method.others, **{name: name in on for name in switches}})


def largest_jump(l0: Sequence[float]) -> float:
    """The largest L0 of AFTER steps over the mean of the BEFORE steps ahead, once SETTLED; 1 if none."""
    first = max(BEFORE, round(SETTLED * len(l0)))
    return max(
        (
            max(l0[step : step + AFTER]) / max(mean(l0[step - BEFORE : step]), 1e-12)
            for step in range(first, len(l0))
        ),
        default=1.0,
    )
