"""All SAEs of one variant, over its seeds, and who each of them is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.console.errors import BadInput
from pipeline.numbers.document import Identity
from pipeline.sae.core.folder import load_sae, weights_hash
from pipeline.sae.core.index import Run, read_index
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.files import external_folder, sae_folder


@dataclass(frozen=True)
class Trained:
    """One trained SAE, its run and the identity that its metric rows carry."""

    run: Run
    folder: Path
    sae: SAE
    identity: Identity

    @property
    def control_k(self) -> int:
        """The L0 of its untrained control: the target, or what was reached where there is no target."""
        asked = self.run.target if self.run.target is not None else round(self.run.l0)
        return min(max(asked, 1), self.sae.n)


def trained_saes(variant: str, seeds: list[int], device: torch.device | str = "cpu") -> Iterator[Trained]:
    """Every SAE of `variant`, seed by seed, in the order they were trained; or the one trained elsewhere.

    A diverged SAE is yielded too, with the reason in its run.
    """
    for folder in _folders(variant, seeds):
        for run in read_index(folder):
            sae, cfg = load_sae(folder / run.name, device)
            metadata = cfg["metadata"]
            weights = weights_hash(folder / run.name)
            identity = identified(run, sae, weights, metadata["model_name"], metadata["layer"])
            yield Trained(run, folder / run.name, sae, identity)


def identified(run: Run, sae: SAE, sha256: str, model: str, layer: int | None) -> Identity:
    """The identity of `sae`, which `run` trained on `model` after block `layer`."""
    return Identity(
        variant=run.variant, label=run.label, seed=run.seed, reading=run.reading, target=run.target,
        run=run.name, status=run.status, reason=run.reason, l0=run.l0, on_target=run.on_target,
        sae_sha256=sha256, model=model, layer=layer, n=sae.n, d=sae.d,
    )  # fmt: skip


def _folders(variant: str, seeds: list[int]) -> list[Path]:
    """A folder per seed, or the one of an SAE trained elsewhere."""
    ours, given = [sae_folder(variant, seed) for seed in seeds], external_folder(variant)
    if not given.is_dir():
        return ours
    if any(folder.is_dir() for folder in ours):
        raise BadInput(
            f"{given.parent} holds SAEs trained here beside one trained elsewhere: one of them is left over "
            "from earlier params; remove it."
        )
    return [given]


def require_width(saes: list[Trained], d: int, source: Path) -> None:
    """Raise BadInput unless every SAE takes activations of width `d`, which are those of `source`."""
    for trained in saes:
        if trained.sae.d != d:
            raise BadInput(
                f"{trained.folder} takes activations of width {trained.sae.d} but {source} holds width {d}: "
                f"it was trained on another model; run `dvc repro` for its train stage."
            )
