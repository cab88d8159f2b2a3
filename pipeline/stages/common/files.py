"""Where everything lies, relative to the repository root, and how small results are written.

The stages are the only code that knows these paths.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

TOKENS = Path("data/tokens")
ACTIVATIONS = Path("data/activations")
LETTERS = Path("data/letter_task")
PROBING = Path("data/probing_task")
LM = Path("models/lm")
REPORTS = Path("reports")
SCRATCH = Path(".scratch")

EVALUATED = REPORTS / "evaluations"
"""A folder per evaluation, each with one per variant; nothing else lies here."""
VERSIONS = Path("requirements/numeric.txt")
"""The libraries that results depend on."""


def sae_folder(variant: str, seed: int) -> Path:
    """The trained SAEs of one (variant, seed)."""
    return Path("models/sae") / variant / str(seed)


def external_folder(name: str) -> Path:
    """The SAE trained elsewhere that `external.{name}` of params.yaml names."""
    return Path("models/sae") / name / "external"


def evaluation_folder(stage: str, variant: str) -> Path:
    """What an evaluation writes for one variant: `results.json` and tables beside it."""
    return EVALUATED / stage / variant


def fresh(folder: Path) -> Path:
    """`folder`, new and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` under `columns`, tab-separated, floats with nine significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else value
