"""One trial: one method with one setting at one L0 target, trained and measured on validation tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.metrics.reconstruction.orders import steadiness
from pipeline.numbers.number import Number
from pipeline.store import Store
from pipeline.store.blocks import blocks
from pipeline.training.job import Job
from pipeline.training.run import OnStep, Trained, train
from pipeline.training.section import TrainSection
from pipeline.training.validation import validate, validation_rows
from pipeline.tuning.methods import Method
from pipeline.tuning.record import Bed, Trial
from pipeline.tuning.search import Setting

BLOCK = 8
"""Validation contexts encoded at once."""


@dataclass(frozen=True)
class Piece:
    """A trial to be made; `section` has one L0 target."""

    method: Method
    setting: Setting
    section: TrainSection

    def job(self, seed: int) -> Job:
        """What is trained; raises BadInput where the values do not fit the method."""
        return Job.of(self.method.variant, {**self.method.others, **dict(self.setting)}, seed)


@dataclass(frozen=True)
class Ground:
    """Where trials are made: the bed that the record names, its activations and how all are trained on it."""

    bed: Bed
    store: Store
    section: TrainSection
    device: torch.device
    seed: int
    code: Callable[[str], str]  # of a method by its name

    def sections(self, tokens: int) -> list[TrainSection]:
        """`section` with `tokens` for each L0 target apart, one process, no checkpoints."""
        alone = {"tokens": tokens, "world_size": 1}
        return [self.section.model_copy(update={**alone, "l0": [target]}) for target in self.section.l0]

    def try_out(self, piece: Piece, on_step: OnStep | None = None) -> Trial:
        """Train and measure; a diverged SAE is a result."""
        before = time.thread_time()
        [trained] = train(piece.job(self.seed), piece.section, self.store, self.device, on_step)
        return self._measured(piece, trained, time.thread_time() - before)

    def _measured(self, piece: Piece, trained: Trained, seconds: float) -> Trial:
        section, run = piece.section, trained.run
        rows = validation_rows(self.store, section.validation_tokens).to(self.device)
        found = validate(trained.sae, rows)
        contexts = blocks(self.store, BLOCK, self.device, "validation", section.validation_tokens)
        steady = steadiness(trained.sae, contexts, self.seed)
        return Trial(
            variant=piece.method.variant, values=piece.setting, others=piece.method.hash,
            tokens=section.tokens, target=section.l0[0], status=run.status, on_target=bool(run.on_target),
            l0=run.l0, explained_variance=found.explained_variance, norm_ratio=found.norm_ratio,
            persistence=_value(steady["persistence"]),
            persistence_energy=_value(steady["persistence_energy"]),
            dead=int(trained.log[-1]["dead"]) if trained.log else 0, seconds=round(seconds, 1),
            seed=self.seed, basis=self.bed.basis, weights=self.bed.weights,
            code=self.code(piece.method.variant),
        )  # fmt: skip


def _value(number: Number) -> float:
    """Codes that are never on at two neighbouring tokens have no persistence: 0, that of random order."""
    return 0.0 if number.value is None else number.value
