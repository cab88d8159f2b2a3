"""Train one variant with one seed: all L0 targets of a section in one pass over the activations.

Targets take turns on the same batches, and results do not depend on each other: on the CPU a stage gives
each target, in a section of its own, to a process of its own (`Job.apart`, pipeline/parallel/processes.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.parallel.world import ALONE, World
from pipeline.sae.core.index import TOLERANCE, Run
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.variant import PenaltyConfig, Recipe, Variant
from pipeline.store import Batch, Reader, Store
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.controller import FLOOR, SparsityController
from pipeline.training.job import Job
from pipeline.training.section import TrainSection
from pipeline.training.trainer import INITIAL_COEFFICIENT, Trainer, initial_weights
from pipeline.training.validation import validate, validation_rows

CHECKS = 20
"""Validation checks in a run."""
SETTLED = 0.5
"""Share of training after which a check can find a run diverged."""
SAMPLE_BATCHES = 8
"""Batches whose mean b_dec starts from."""

OnStep = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Trained:
    """What is left of one SAE's training."""

    run: Run
    sae: SAE  # in the model's own units
    statistics: dict[str, Tensor]
    log: list[dict[str, Any]]  # rows of training.tsv
    gap: dict[str, dict[str, float]] | None  # training against inference, where they differ


def train(
    job: Job,
    section: TrainSection,
    store: Store,
    device: torch.device,
    on_step: OnStep | None = None,
    checkpoint: Path | None = None,
    world: World = ALONE,
) -> list[Trained]:
    """Train `job` at every target of `section` on the train split of `store`.

    `on_step(tokens, figures)` is called after each step, with the first target's loss and L0 among the
    figures; with a `checkpoint` folder the run is saved there every `checkpoint_every` steps and continues
    from it bit for bit. Raises BadInput for a job that cannot train. All processes of `world` return the
    same; the first writes the checkpoints.
    """
    require(section, store, world)
    trainers, reader = _set_up(job, section, store, device, world)
    log: list[list[dict[str, Any]]] = [[] for _ in trainers]
    if checkpoint is not None:
        log = load_checkpoint(checkpoint, trainers, reader) or log
    held_out = validation_rows(store, section.validation_tokens).to(device)
    steps, rows = trainers[0].recipe.steps, trainers[0].recipe.batch
    for done in range(max(trainer.step_index for trainer in trainers) + 1, steps + 1):
        batch = reader.next().to(device)
        logged = done % section.log_every == 0 or done == steps
        for trainer in trainers:
            trainer.step(batch, logged)
        if _checked(done, steps):
            _check(trainers, done, held_out)
        if logged:
            _record(trainers, log, done)
        if on_step is not None:
            on_step(rows * len(trainers), trainers[0].figures)
        if checkpoint is not None and world.leads and done % section.checkpoint_every == 0:
            save_checkpoint(checkpoint, trainers, reader, log)
        if all(trainer.diverged for trainer in trainers):
            break
    return [_finish(job, trainer, rows, held_out) for trainer, rows in zip(trainers, log, strict=True)]


def require(section: TrainSection, store: Store, world: World = ALONE) -> None:
    """Raise BadInput for a section that cannot train on `store`, or as `world` does."""
    section.require_world(world.size)
    rows = store.split("train")
    section.require(int(store.valid[rows.start : rows.stop].sum()))


def _set_up(
    job: Job, section: TrainSection, store: Store, device: torch.device, world: World
) -> tuple[list[Trainer], Reader]:
    recipe, variants = job.recipe(section), job.variants(section, store.d)
    part, window = (world.rank, world.size), variants[0].window
    reader = Reader(store, "train", job.reading, recipe.batch, job.seed, part=part, window=window)
    scale = store.attrs.scale if recipe.input_scaled else 1.0
    sample = _sample(store, job.seed, recipe.batch).to(device) * scale
    trainers = [_trainer(variant, recipe, scale, section, job.seed, sample, world) for variant in variants]
    return trainers, reader


def _trainer(
    variant: Variant, recipe: Recipe, scale: float, section: TrainSection, seed: int, sample: Tensor,
    world: World,
) -> Trainer:  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    weights = initial_weights(variant, sample, generator)
    return Trainer(
        variant=variant,
        recipe=recipe,
        scale=scale,
        dead_tokens=section.dead_tokens,
        precision=section.precision,
        weights=weights,
        generator=generator,
        controller=_controller(variant, recipe),
        fired=torch.zeros(variant.n, dtype=torch.int64, device=sample.device),
        world=world,
    )


def _controller(variant: Variant, recipe: Recipe) -> SparsityController | None:
    """Of a penalty without a fixed coefficient."""
    steered = variant.controlled and recipe.coefficient is None
    if not steered or variant.l0 is None or not isinstance(variant.config, PenaltyConfig):
        return None
    start = INITIAL_COEFFICIENT
    return SparsityController(variant.l0, start, recipe.steps, variant.config.ramp, FLOOR * start)


def _sample(store: Store, seed: int, batch: int) -> Tensor:
    """Rows that b_dec starts from: the first batches of a reader of its own, so that none is skipped."""
    reader = Reader(store, "train", "tokens", batch, seed)
    return torch.cat([reader.next().x for _ in range(SAMPLE_BATCHES)])


def _checked(done: int, steps: int) -> bool:
    """Whether the run is checked for divergence after `done` of `steps` steps."""
    return done == steps or (done % max(1, steps // CHECKS) == 0 and done / steps >= SETTLED)


def _check(trainers: list[Trainer], done: int, held_out: Batch) -> None:
    for trainer in trainers:
        if trainer.diverged is None:
            fault = validate(trainer.export(), held_out, trainer.world).fault()
            if fault is not None:
                trainer.diverged = f"{fault} after step {done} of {trainer.recipe.steps}"


def _record(trainers: list[Trainer], log: list[list[dict[str, Any]]], done: int) -> None:
    for trainer, rows in zip(trainers, log, strict=True):
        if trainer.diverged is None:
            rows.append({"step": done, "tokens": done * trainer.recipe.batch, **trainer.figures})


def _finish(job: Job, trainer: Trainer, rows: list[dict[str, Any]], held_out: Batch) -> Trained:
    sae = trainer.export()
    measured = validate(sae, held_out, trainer.world)
    l0 = measured.l0 / trainer.variant.shared
    target = trainer.variant.l0
    name = "paper" if target is None else f"l0-{target}"
    run = Run(
        name=name if job.control is None else f"{job.control}-{name}",
        variant=job.variant,
        control=job.control,
        seed=job.seed,
        reading=job.reading,
        target=target,
        status="diverged" if trainer.diverged else "ok",
        reason=trainer.diverged,
        l0=l0,
        coefficient=trainer.coefficient if trainer.variant.controlled else None,
        on_target=None if target is None else abs(l0 - target) <= TOLERANCE * target,
    )
    return Trained(run, sae, trainer.variant.statistics(), rows, _gap(trainer, sae, held_out))


def _gap(trainer: Trainer, sae: SAE, held_out: Batch) -> dict[str, dict[str, float]] | None:
    """How the SAE as training last saw it differs from the one that is saved."""
    trained = trainer.variant.training_view(trainer.weights)
    if trained is None or trainer.diverged:
        return None
    trained = trained.scaled(trainer.scale)
    trained = trained if trainer.recipe.unit_decoder else trained.unit_decoder()
    views = {"training": trained, "inference": sae}
    return {name: vars(validate(view, held_out, trainer.world)) for name, view in views.items()}
