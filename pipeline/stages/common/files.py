"""Where everything lies, relative to the repository root.

The stages are the only code that knows these paths.
"""

from __future__ import annotations

import shutil
from pathlib import Path

TOKENS = Path("data/tokens")
ACTIVATIONS = Path("data/activations")
LETTERS = Path("data/letter_task")
PROBING = Path("data/probing_task")
LM = Path("models/lm")
REPORTS = Path("reports")

TABLES = REPORTS / "tables"
METRICS = REPORTS / "metrics.json"
INTERVALS = REPORTS / "intervals.json"
"""The headline numbers and their intervals; git keeps them."""
REPORT = REPORTS / "report.json"
"""The comparison as printed; git keeps it, because README and docs show it."""
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


def external_stage(name: str) -> str:
    """The stage that writes `external_folder`."""
    return f"external@{name}"


def evaluation_folder(stage: str, variant: str) -> Path:
    """What an evaluation writes for one variant: `results.json` and tables beside it."""
    return EVALUATED / stage / variant


def fresh(folder: Path) -> Path:
    """`folder`, new and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
