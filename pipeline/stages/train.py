"""Stage `train@{variant}-{seed}`: activations -> models/sae/{variant}/{seed}.

One folder per SAE (cfg.json, sae_weights.safetensors, statistics.safetensors, training.tsv) and
index.json over them. Checkpoints lie in scratch, keyed by everything that the result depends on, so
that a killed run continues bit for bit and a changed input starts afresh.
"""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipeline.console.launch import launched, relaunch
from pipeline.console.progress import Progress
from pipeline.numbers.files import write_json
from pipeline.numbers.table import write_table
from pipeline.parallel.processes import Count, Say, adding, ignore, spread
from pipeline.parallel.ranks import join
from pipeline.parallel.world import World
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.folder import save_sae
from pipeline.sae.core.index import write_index
from pipeline.stages.common.code import closure
from pipeline.stages.common.files import ACTIVATIONS, VERSIONS, sae_folder
from pipeline.stages.common.scratch import publish, scratch
from pipeline.store import Store, hold, open_store
from pipeline.training.job import Job, method
from pipeline.training.run import Trained, require, train
from pipeline.training.section import TrainSection

COUNTS = ("step", "tokens", "dead")
"""Columns of training.tsv that are whole numbers."""


def run(variant: str, seed: int) -> None:
    """Train `variant` with `seed` at every L0 target, and the controls that its section asks for.

    On the CPU each SAE has a process of its own. With `train.world_size` above 1 the stage starts
    itself again through torchrun, unless torchrun started it, and targets take turns.
    """
    params = read_params()
    compute = params.get("profile.compute", ComputeSection)
    section = params.get("profile.train", TrainSection)
    job = Job(variant, params.get(variant, method(variant)[0]), seed)
    device = compute.apply()
    store = open_store(ACTIVATIONS)
    if launched() is None and section.world_size > 1:
        relaunch(["train", variant, str(seed)], section.world_size, compute.threads)
    section.require_world(launched() or 1)
    world = join(device)
    require(section, store, world)
    key = {each: values.model_dump() for each, values in
           (("method", job.config), ("train", section), ("compute", compute))}  # fmt: skip
    code = [*closure("stages.train", f"sae.{variant}"), VERSIONS]
    folder = scratch(f"train-{variant}-{seed}", key, [ACTIVATIONS, *code])
    trained = _train_all(job, section, store, device, compute.threads, folder, world)
    if not world.leads:
        return
    for one in trained:
        write_sae(folder / one.run.name, one, job.tokens(section), store)
    write_index(folder, [one.run for one in trained])
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    publish(folder, sae_folder(variant, seed))


def _train_all(
    job: Job, section: TrainSection, store: Store, device: torch.device, threads: int, folder: Path,
    world: World,
) -> list[Trained]:  # fmt: skip
    """The SAEs of the method and its controls at all targets, in this order."""
    jobs = [replace(job, control=control) for control in job.controls]
    alone = world.size == 1 and device.type == "cpu"
    sections = job.apart(section) if alone else [section]
    pieces = [(each, part) for each in jobs for part in sections]
    tokens = job.tokens(section) * len(jobs) * len(job.apart(section))

    def one(piece: tuple[Job, TrainSection], say: Say) -> list[Trained]:
        each, part = piece
        checkpoint = folder / "-".join(map(str, ("checkpoint", each.control or "own", *part.l0)))
        with Count(say, shown=piece is pieces[0]) as count:
            return train(each, part, store, device, count, checkpoint, world)

    if alone:
        torch.set_num_threads(job.threads(section, threads))
        hold(store, "train")
    bar = Progress(f"train {job.variant} {job.seed}", tokens, "tokens")
    with bar if world.leads else nullcontext():
        trained = spread(one, pieces, adding(bar.advance) if world.leads else ignore, 0 if alone else 1)
    return [each for piece in trained for each in piece]


def write_sae(folder: Path, one: Trained, tokens: int, store: Store) -> None:
    """One SAE's folder: weights, log, per-latent statistics and the gap between training and inference."""
    attrs, run = store.attrs, one.run
    metadata: dict[str, Any] = {
        "model_name": attrs.model_id,
        "model_revision": attrs.revision,
        "model_sha256": attrs.weights_sha256,
        "hook_name": attrs.hook_name,
        "layer": attrs.layer,
        "context_size": attrs.context_length,
        "prepend_bos": True,
        "training_architecture": run.variant,
        "training_control": run.control,
        "training_reading": run.reading,
        "training_seed": run.seed,
        "training_tokens": tokens,
        "l0": run.l0,
    }
    save_sae(folder, one.sae, metadata)
    columns = {name: int if name in COUNTS else float for row in one.log for name in row}
    write_table(folder / "training.tsv", columns, [dict.fromkeys(columns, 0) | row for row in one.log])
    if one.statistics:
        save_file(
            {k: v.cpu().contiguous() for k, v in one.statistics.items()}, folder / "statistics.safetensors"
        )
    if one.gap is not None:
        write_json(folder / "gap.json", one.gap)
