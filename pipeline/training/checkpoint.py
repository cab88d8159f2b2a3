"""Checkpoints: everything a run needs to continue bit for bit, as safetensors and JSON, in scratch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from pipeline.store import Reader
from pipeline.training.trainer import Trainer

STATE, TENSORS = "state.json", "state.safetensors"


def save_checkpoint(
    folder: Path, trainers: list[Trainer], reader: Reader, log: list[list[dict[str, Any]]]
) -> None:
    """Write trainers, reader position and log rows; the JSON comes last: a kill leaves the old pair."""
    folder.mkdir(parents=True, exist_ok=True)
    step = max(trainer.step_index for trainer in trainers)
    name = f"{step}-{TENSORS}"
    # cloned: two names may share memory, which the format refuses
    tensors = {
        f"{i}/{key}": value.contiguous().clone()
        for i, trainer in enumerate(trainers)
        for key, value in trainer.tensors().items()
    }
    save_file(tensors, folder / name)
    state = {
        "tensors": name,
        "reader": reader.state(),
        "scalars": [trainer.scalars() for trainer in trainers],
        "log": log,
    }
    partial = folder / f"{STATE}.partial"
    partial.write_text(json.dumps(state), encoding="utf-8")
    os.replace(partial, folder / STATE)
    for stale in folder.glob(f"*-{TENSORS}"):
        if stale.name != name:
            stale.unlink()


def load_checkpoint(
    folder: Path, trainers: list[Trainer], reader: Reader
) -> list[list[dict[str, Any]]] | None:
    """Restore in place and return the log rows; None when there is no checkpoint."""
    if not (folder / STATE).exists():
        return None
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    tensors = load_file(folder / state["tensors"])
    for i, (trainer, scalars) in enumerate(zip(trainers, state["scalars"], strict=True)):
        prefix = f"{i}/"
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        trainer.restore(own, scalars)
    reader.restore(state["reader"])
    return state["log"]
