"""An ablation on its way: what its record lacks, trained one by one and kept at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.console.progress import Progress
from pipeline.parallel.processes import Say, at_once, spread
from pipeline.store import hold
from pipeline.tuning.ablation import Ablated, Wanted, path_of, read, train_one, wanted, write
from pipeline.tuning.methods import Method
from pipeline.tuning.search import Setting
from pipeline.tuning.trial import Ground


@dataclass
class Ablation:
    """All combinations of the `switches` of `method`, tuned to `now`, at the length of `ground`."""

    ground: Ground
    method: Method
    switches: Sequence[str]
    now: Setting
    seeds: Sequence[int]
    ends: float | None = None  # none begins after this moment of time.monotonic()
    known: list[Ablated] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = path_of(self.ground.bed.name, self.method.variant)
        self.known = read(self.path)

    def run(self) -> None:
        """Until nothing is missing or the time is over."""
        hold(self.ground.store, "train")
        while (pieces := self.missing()) and not self._over():
            with Progress(f"ablate {self.method.variant}", len(pieces), "SAEs") as bar:

                def heard(row: Ablated, bar: Progress = bar) -> None:
                    self.known = [*(each for each in self.known if each.key != row.key), row]
                    write(self.path, self.known)
                    bar.advance(1, explained_variance=row.trial.explained_variance)

                spread(self._work, pieces, heard, at_once(self.ground.device))

    def missing(self) -> list[tuple[Wanted, int]]:
        """What is to be trained next, with its target."""
        here = [each for each in self.known if each.counts(self.ground, self.method, self.switches)]
        made = {(each.on, each.trial.values, each.trial.seed, each.trial.target) for each in here}
        return [
            (each, target)
            for each in wanted(self.switches, self.now, self.seeds, here)
            for target in self.ground.section.l0
            if (each.on, each.setting, each.seed, target) not in made
        ]

    def _work(self, piece: tuple[Wanted, int], say: Say) -> bool:
        if self._over():
            return False
        say(train_one(self.ground, self.method, self.switches, *piece))
        return True

    def _over(self) -> bool:
        return self.ends is not None and time.monotonic() > self.ends
