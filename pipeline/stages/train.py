"""Stage `train@{variant}-{seed}`: activations -> models/sae/{variant}/{seed}.

One folder per SAE (cfg.json, sae_weights.safetensors, statistics.safetensors, training.tsv) and
index.json over them. Checkpoints lie in scratch, keyed by everything that the result depends on, so
that a killed run continues bit for bit and a changed input starts afresh.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipeline.console.launch import launched, relaunch
from pipeline.console.progress import Progress
from pipeline.parallel.ranks import join
from pipeline.parallel.world import World
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.folder import save_sae, write_index
from pipeline.stages.files import ACTIVATIONS, sae_folder, write_json, write_tsv
from pipeline.stages.scratch import publish, scratch
from pipeline.store import Mode, Store, open_store
from pipeline.training.run import Job, Trained, encoded_tokens, method, train
from pipeline.training.section import TrainSection

CODE = (
    "pipeline/stages/train.py",
    "pipeline/stages/files.py",
    "pipeline/stages/scratch.py",
    "pipeline/lm/site.py",
    "pipeline/parallel",
    "pipeline/params",
    "pipeline/store",
    "pipeline/training",
    "pipeline/sae/core",
    "requirements/numeric.txt",
)
"""The code whose change makes a checkpoint stale; dvc.yaml declares the same."""


def run(variant: str, seed: int) -> None:
    """Train `variant` with `seed` at every L0 target; for standard also on its control readings.

    With `train.world_size` above 1 it starts itself again through torchrun, unless torchrun started it.
    """
    params = read_params()
    compute = params.get("profile.compute", ComputeSection)
    section = params.get("profile.train", TrainSection)
    config = params.get(variant, method(variant)[0])
    values = params.value(variant)
    device = compute.apply()
    store = open_store(ACTIVATIONS)
    if launched() is None and section.world_size > 1:
        relaunch(["train", variant, str(seed)], section.world_size, compute.threads)
    section.require_world(launched() or 1)
    world = join(device)
    key = {"values": values, "train": section.model_dump(), "compute": compute.model_dump()}
    code = [Path(file) for file in (*CODE, f"pipeline/sae/{variant}.py")]
    folder = scratch(f"train-{variant}-{seed}", key, [ACTIVATIONS, *code])
    readings: list[Mode | None] = [None, *getattr(config, "controls", [])]
    trained: list[Trained] = []
    for reading in readings:
        job = Job(variant, values, seed, reading)
        checkpoint = folder / f"checkpoint-{reading}"
        trained += _train(job, section, store, device, compute.threads, checkpoint, world)
    if not world.leads:
        return
    tokens = encoded_tokens(Job(variant, values, seed), section)
    for one in trained:
        _write(folder / one.run.name, one, tokens, store)
    write_index(folder, [one.run for one in trained])
    for reading in readings:
        shutil.rmtree(folder / f"checkpoint-{reading}", ignore_errors=True)
    publish(folder, sae_folder(variant, seed))


def _train(
    job: Job, section: TrainSection, store: Store, device: torch.device, threads: int, checkpoint: Path,
    world: World,
) -> list[Trained]:  # fmt: skip
    title = " ".join(part for part in ("train", job.variant, job.reading or "", str(job.seed)) if part)
    if not world.leads:
        return train(job, section, store, device, threads, None, checkpoint, world)
    with Progress(title, total=encoded_tokens(job, section), unit="tokens") as bar:

        def show(tokens: int, figures: dict[str, float]) -> None:
            bar.advance(tokens, **{name: figures[name] for name in ("loss", "l0") if name in figures})

        return train(job, section, store, device, threads, show, checkpoint, world)


def _write(folder: Path, one: Trained, tokens: int, store: Store) -> None:
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
        "training_reading": run.reading,
        "training_seed": run.seed,
        "training_tokens": tokens,
        "l0": run.l0,
    }
    save_sae(folder, one.sae, metadata)
    columns = list(dict.fromkeys(name for row in one.log for name in row))
    write_tsv(folder / "training.tsv", columns, [dict.fromkeys(columns, 0.0) | row for row in one.log])
    if one.statistics:
        save_file(
            {k: v.cpu().contiguous() for k, v in one.statistics.items()}, folder / "statistics.safetensors"
        )
    if one.gap is not None:
        write_json(folder / "gap.json", one.gap)
