"""index.json of a training run: which SAEs it made, and how that ended. Needs no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.console.errors import BadInput

INDEX, VERSION = "index.json", 2
WEIGHTS = "sae_weights.safetensors"
"""The weights of one SAE, in its folder beside the index (folder.py)."""
EXTERNAL = "external"
"""The reading of an SAE that was trained elsewhere."""
TOLERANCE = 0.10
"""An SAE whose L0 lies further than this share of its target from it has missed it."""


@dataclass(frozen=True)
class Run:
    """One SAE of a (variant, seed): how it was trained and how that ended."""

    name: str  # folder name: "l0-4", "shuffled-l0-4" (a control), "paper"
    variant: str
    control: str | None  # what is different from the variant (pipeline/sae/method/control.py)
    seed: int
    reading: str  # tokens | pairs | windows | contexts | shuffled {one of these} | external
    target: int | None  # the L0 asked for; None under a paper preset and for an external SAE
    status: str  # "ok" | "diverged"
    reason: str | None  # why it diverged, with its numbers
    l0: float  # reached at inference on validation tokens; of codes that share tokens, per token
    coefficient: float | None  # the sparsity coefficient at the end, for penalty-based variants
    on_target: bool | None  # whether l0 is within TOLERANCE of the target

    @property
    def label(self) -> str:
        """The row's name in every table: `variant`, or `variant (control)`."""
        return self.variant if self.control is None else f"{self.variant} ({self.control})"


def write_index(folder: Path, runs: list[Run]) -> None:
    """Write `index.json` of a (variant, seed) folder."""
    content = {"version": VERSION, "runs": [asdict(run) for run in runs]}
    (folder / INDEX).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_index(folder: Path) -> list[Run]:
    """The SAEs of a (variant, seed) folder; raises BadInput when it was not trained yet."""
    try:
        return runs_of(json.loads((folder / INDEX).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadInput(f"{folder} holds no trained SAEs: run its train stage first.") from None
    except ValueError as error:
        raise BadInput(f"{folder / INDEX} is damaged ({error}): run its train stage again.") from None


def runs_of(content: Any) -> list[Run]:
    """The SAEs that the `content` of an index.json lists; raises ValueError for another content."""
    try:
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']!r}, not {VERSION}")
        return [Run(**row) for row in content["runs"]]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
