"""The loop every evaluation stage shares: all SAEs of one variant, over its seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.console.errors import BadInput
from pipeline.sae.core.folder import Run, load_sae, read_index, weights_hash
from pipeline.sae.core.inference import SAE
from pipeline.stages.files import sae_folder


@dataclass(frozen=True)
class Trained:
    """One trained SAE, its run and the identity that its metric rows carry."""

    run: Run
    folder: Path
    sae: SAE
    identity: dict[str, Any]

    @property
    def control_k(self) -> int:
        """The L0 of its untrained control: the target, or what was reached where there is no target."""
        asked = self.run.target if self.run.target is not None else round(self.run.l0)
        return min(max(asked, 1), self.sae.n)


def trained_saes(variant: str, seeds: list[int], device: torch.device | str = "cpu") -> Iterator[Trained]:
    """Every SAE of `variant`, seed by seed, in the order they were trained.

    A diverged SAE is yielded too: a stage gives each of its metrics the run's reason
    (`missing(run.reason)`) instead of a number.
    """
    for seed in seeds:
        folder = sae_folder(variant, seed)
        for run in read_index(folder):
            sae, cfg = load_sae(folder / run.name, device)
            metadata = cfg["metadata"]
            identity = {
                "variant": run.variant,
                "label": run.label,
                "seed": run.seed,
                "reading": run.reading,
                "target": run.target,
                "run": run.name,
                "status": run.status,
                "reason": run.reason,
                "l0": run.l0,
                "on_target": run.on_target,
                "sae_sha256": weights_hash(folder / run.name),
                "model": metadata["model_name"],
                "layer": metadata["layer"],
                "n": sae.n,
                "d": sae.d,
            }
            yield Trained(run, folder / run.name, sae, identity)


def require_width(saes: list[Trained], d: int, source: Path) -> None:
    """Raise BadInput unless every SAE takes activations of width `d`, which are those of `source`."""
    for trained in saes:
        if trained.sae.d != d:
            raise BadInput(
                f"{trained.folder} takes activations of width {trained.sae.d} but {source} holds width {d}: "
                f"it was trained on another model; run `dvc repro` for its train stage."
            )
