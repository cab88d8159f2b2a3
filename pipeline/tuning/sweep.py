"""All methods' searches side by side: round by round, a trial per core at once, resumable."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.console.progress import Progress
from pipeline.parallel.processes import Say, at_once, spread
from pipeline.store import hold
from pipeline.tuning.methods import Method
from pipeline.tuning.record import Trial, of_method, outcomes, path_of, put_in, read_trials, write_trials
from pipeline.tuning.search import Search, Space, search
from pipeline.tuning.section import TuneSection
from pipeline.tuning.trial import Ground, Piece


@dataclass
class Sweep:
    """Trials of `methods` on a ground at one length; the record is read first and kept up to date."""

    ground: Ground
    rules: TuneSection
    methods: Mapping[str, Method]
    tokens: int
    ends: float | None = None  # no trial begins after this moment of time.monotonic()
    known: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = read_trials(self.path)

    @property
    def path(self) -> Path:
        """The record."""
        return path_of(self.ground.bed.name)

    def run(self, spaces: Mapping[str, Space]) -> dict[str, Search]:
        """Until every search is done or the time is over; the state of each."""
        hold(self.ground.store, "train")
        while True:
            states = {variant: self.state(variant, space) for variant, space in spaces.items()}
            pieces = self._pieces(states)
            if not pieces or self._over() or not self._round(pieces):
                return states

    def state(self, variant: str, space: Space) -> Search:
        """How far the search of `variant` is."""
        method, bed, targets = self.methods[variant], self.ground.bed, self.ground.section.l0
        own = of_method(self.known, bed, variant, method.hash, self.ground.seed, self.ground.code(variant))
        return search(space, outcomes(own, targets, self.tokens), self.rules)

    def _pieces(self, states: Mapping[str, Search]) -> list[Piece]:
        """What is missing, targets apart, without those that an earlier run has made."""
        made = {each.key for each in self.known if each.code == self.ground.code(each.variant)}
        return [
            piece
            for variant, state in states.items()
            for setting in state.missing
            for part in self.ground.sections(self.tokens)
            if self._key(piece := Piece(self.methods[variant], setting, part)) not in made
        ]

    def _key(self, piece: Piece) -> tuple[object, ...]:
        bed, method = self.ground.bed, piece.method
        return (method.variant, piece.setting, method.hash, self.tokens, piece.section.l0[0],
                self.ground.seed, bed.basis, bed.weights)  # fmt: skip

    def _round(self, pieces: Sequence[Piece]) -> bool:
        """Make these trials, each kept as soon as it is there; whether time was left for all."""
        with Progress(f"tune {self.ground.bed.name}", len(pieces), "trials") as bar:

            def heard(trial: Trial) -> None:
                self.known = put_in(self.known, trial)
                write_trials(self.path, self.known)
                bar.advance(1, explained_variance=trial.explained_variance)

            made = spread(self._work, pieces, heard, at_once(self.ground.device))
        return all(made)

    def _work(self, piece: Piece, say: Say) -> bool:
        if self._over():
            return False
        say(self.ground.try_out(piece))
        return True

    def _over(self) -> bool:
        return self.ends is not None and time.monotonic() > self.ends
