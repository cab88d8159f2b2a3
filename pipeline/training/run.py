"""Train one variant with one seed: all its L0 targets in one pass over the activations.

Targets train side by side, one thread each (with two targets on two cores 1.5 to 1.9 times the speed
of one after the other on two threads), on the same batches. Results do not depend on each other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.parallel.world import ALONE, World
from pipeline.sae.core.folder import Run
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.variant import MethodConfig, Recipe, Variant
from pipeline.store import Batch, Mode, Reader, Store
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.controller import SparsityController
from pipeline.training.guard import validate
from pipeline.training.section import TrainSection
from pipeline.training.trainer import INITIAL_COEFFICIENT, Trainer, initial_weights

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


@dataclass(frozen=True)
class Job:
    """A variant to train, with its section's values and a seed; `reading` None is the method's own way."""

    variant: str
    values: Mapping[str, Any]
    seed: int
    reading: Mode | None = None


def method(name: str) -> tuple[type[MethodConfig], type[Variant]]:
    """The `Config` and `Method` of pipeline/sae/{name}.py; raises BadInput when there is no such file."""
    try:
        module = importlib.import_module(f"pipeline.sae.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"pipeline.sae.{name}":
            raise
        raise BadInput(f"variant `{name}` is unknown: there is no pipeline/sae/{name}.py.") from None
    if not hasattr(module, "Method"):
        raise BadInput(f"`{name}` is no variant: pipeline/sae/{name} defines no Method.")
    return module.Config, module.Method


def train(
    job: Job,
    section: TrainSection,
    store: Store,
    device: torch.device,
    threads: int = 1,
    on_step: OnStep | None = None,
    checkpoint: Path | None = None,
    world: World = ALONE,
) -> list[Trained]:
    """Train `job` at every target of `section` on the train split of `store`.

    `on_step(tokens, figures)` is called after each step; with a `checkpoint` folder the run is saved
    there every `checkpoint_every` steps and continues from it bit for bit. Raises BadInput for a job
    that cannot train. All processes of `world` return the same; the first writes the checkpoints.
    """
    section.require_world(world.size)
    rows = store.split("train")
    section.require(int(store.valid[rows.start : rows.stop].sum()))
    trainers, reader = _set_up(job, section, store, device, world)
    log: list[list[dict[str, Any]]] = [[] for _ in trainers]
    if checkpoint is not None:
        log = load_checkpoint(checkpoint, trainers, reader) or log
    x = validation_rows(store, section.validation_tokens).to(device)
    steps = trainers[0].recipe.steps
    done = max(trainer.step_index for trainer in trainers)
    intra_op = torch.get_num_threads()
    # several processes must add up in one order, so there the targets take turns
    beside = len(trainers) if world.size == 1 else 1
    torch.set_num_threads(max(1, threads // beside))
    try:
        with ThreadPoolExecutor(min(threads, beside)) as pool:
            for index in range(done, steps):
                batch = _to(reader.next(), device)
                list(pool.map(lambda trainer, batch=batch: trainer.step(batch), trainers))
                _check(trainers, index, steps, x, pool)
                _record(trainers, log, index, section, steps)
                if on_step is not None:
                    on_step(trainers[0].recipe.batch, trainers[0].figures)
                if checkpoint is not None and world.leads and (index + 1) % section.checkpoint_every == 0:
                    save_checkpoint(checkpoint, trainers, reader, log)
                if all(trainer.diverged for trainer in trainers):
                    break
        return [_finish(job, trainer, rows, x) for trainer, rows in zip(trainers, log, strict=True)]
    finally:
        torch.set_num_threads(intra_op)


def encoded_tokens(job: Job, section: TrainSection) -> int:
    """How many tokens the run of `job` will encode."""
    recipe, _ = _recipe(job, section, 1)
    return recipe.steps * recipe.batch


def _recipe(job: Job, section: TrainSection, d: int) -> tuple[Recipe, list[Variant]]:
    config_type, method_type = method(job.variant)
    config = config_type.parse(job.values, job.variant)
    paper = getattr(config, "preset", "ours") == "paper"
    targets: list[int | None] = [None] if paper else list(section.l0)
    variants = [method_type(config, d, section.n, target) for target in targets]
    return variants[0].recipe(_base_recipe(section, config)), variants


def _set_up(
    job: Job, section: TrainSection, store: Store, device: torch.device, world: World
) -> tuple[list[Trainer], Reader]:
    recipe, variants = _recipe(job, section, store.d)
    reading, part = job.reading or variants[0].reading, (world.rank, world.size)
    reader = Reader(store, "train", reading, recipe.batch, job.seed, part=part)
    scale = store.attrs.scale if recipe.input_scaled else 1.0
    sample = _sample(store, job.seed, recipe.batch).to(device) * scale
    trainers = [_trainer(variant, recipe, scale, section, job.seed, sample, world) for variant in variants]
    return trainers, reader


def _base_recipe(section: TrainSection, config: MethodConfig) -> Recipe:
    steps = section.tokens // section.batch
    return Recipe(
        steps=steps,
        batch=section.batch,
        lr=section.lr * config.lr_scale,
        clip=section.clip,
        warmup=round(section.warmup * steps),
        decay=round(section.decay * steps),
    )


def _trainer(
    variant: Variant, recipe: Recipe, scale: float, section: TrainSection, seed: int, sample: Tensor,
    world: World,
) -> Trainer:  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    weights = initial_weights(variant, sample, generator)
    steered = variant.controlled and recipe.coefficient is None and variant.l0 is not None
    return Trainer(
        variant=variant,
        recipe=recipe,
        scale=scale,
        dead_tokens=section.dead_tokens,
        precision=section.precision,
        weights=weights,
        generator=generator,
        controller=SparsityController(variant.l0 or 0, INITIAL_COEFFICIENT, recipe.steps)
        if steered
        else None,
        fired=torch.zeros(variant.n, dtype=torch.int64, device=sample.device),
        world=world,
    )


def _sample(store: Store, seed: int, batch: int) -> Tensor:
    """Rows that b_dec starts from: the first batches of a reader of its own, so that none is skipped."""
    reader = Reader(store, "train", "tokens", batch, seed)
    return torch.cat([reader.next().x for _ in range(SAMPLE_BATCHES)])


def validation_rows(store: Store, count: int) -> Tensor:
    """The first `count` usable rows of the validation split, (count, d)."""
    rows = store.split("validation")
    x = store.rows(rows.start, rows.stop)
    usable = torch.from_numpy(store.valid[rows.start : rows.stop])
    if not bool(usable.any()):
        raise BadInput(
            "the validation split has no token that is not special: give the text more validation contexts."
        )
    return x[usable][:count]


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return Batch(*(getattr(batch, name).to(device, non_blocking=True) for name in batch.__dataclass_fields__))


def _check(trainers: list[Trainer], index: int, steps: int, x: Tensor, pool: ThreadPoolExecutor) -> None:
    every = max(1, steps // CHECKS)
    last = index + 1 == steps
    if not last and ((index + 1) % every or (index + 1) / steps < SETTLED):
        return

    def check(trainer: Trainer) -> None:
        if trainer.diverged is None:
            fault = validate(trainer.export(), x, trainer.world).fault()
            if fault is not None:
                trainer.diverged = f"{fault} after step {index + 1} of {steps}"

    list(pool.map(check, trainers))


def _record(
    trainers: list[Trainer], log: list[list[dict[str, Any]]], index: int, section: TrainSection, steps: int
) -> None:
    if (index + 1) % section.log_every == 0 or index + 1 == steps:
        for trainer, rows in zip(trainers, log, strict=True):
            if trainer.diverged is None:
                tokens = (index + 1) * trainer.recipe.batch
                rows.append({"step": index + 1, "tokens": tokens, **trainer.figures})


def _finish(job: Job, trainer: Trainer, rows: list[dict[str, Any]], x: Tensor) -> Trained:
    sae = trainer.export()
    measured = validate(sae, x, trainer.world)
    target = trainer.variant.l0
    reading = job.reading or type(trainer.variant).reading
    name = "paper" if target is None else f"l0-{target}"
    run = Run(
        name=name if job.reading is None else f"{job.reading}-{name}",
        variant=job.variant,
        seed=job.seed,
        reading=reading,
        target=target,
        status="diverged" if trainer.diverged else "ok",
        reason=trainer.diverged,
        l0=measured.l0,
        coefficient=trainer.coefficient if trainer.variant.controlled else None,
        on_target=None if target is None else abs(measured.l0 - target) <= 0.1 * target,
    )
    return Trained(run, sae, trainer.variant.statistics(), rows, _gap(trainer, sae, x))


def _gap(trainer: Trainer, sae: SAE, x: Tensor) -> dict[str, dict[str, float]] | None:
    """How the SAE as training last saw it differs from the one that is saved."""
    seen = trainer.variant.training_view(trainer.weights)
    if seen is None or trainer.diverged:
        return None
    seen = seen.scaled(trainer.scale)
    seen = seen if trainer.recipe.unit_decoder else seen.unit_decoder()
    views = {"training": seen, "inference": sae}
    return {name: vars(validate(view, x, trainer.world)) for name, view in views.items()}
