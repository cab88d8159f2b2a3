"""Stage `page`: the tables, charts, claims and latents as one page, reports/index.html.

Reads what other stages wrote and computes no number. The page holds no time, host or path, so the same
inputs give the same bytes.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

from pipeline.console.errors import BadInput
from pipeline.page.render import render
from pipeline.page.view import Artefacts, view
from pipeline.params import Params, read_params
from pipeline.stages.files import REPORTS

TABLES = REPORTS / "tables"
VERSIONS = Path("requirements/numeric.txt")
SECTIONS = ("seeds", "tasks", "reconstruction", "behavior", "absorption", "probing", "ground_truth")
"""Shown as they stand, after the profile and before the methods' own."""


def run() -> None:
    """Write reports/index.html; raises BadInput naming the stage to run when an artefact is missing."""
    params = read_params()
    variants, external = params.value("variants"), params.value("external")
    # first, so that a profile that does not exist is named before a file that cannot be there
    shown = _shown(params, variants, external)
    found = Artefacts(
        report=_json(TABLES / "report.json", "compare"),
        curves=_tsv(TABLES / "curves.tsv", "compare"),
        pairs=_tsv(TABLES / "pairs.tsv", "compare"),
        training=_tsv(TABLES / "training.tsv", "compare"),
        letters=_tsv(TABLES / "letters.tsv", "compare"),
        problems=[
            row
            for name in (*variants, *external)
            for row in _tsv(REPORTS / "probing" / name / "problems.tsv", f"probing@{name}")
        ],
        claims=_json(REPORTS / "ledger/claims.json", "ledger")["claims"],
        latents=[
            _json(REPORTS / "latents" / name / "latents.json", f"latents@{name}")
            for name in (*variants, *external)
        ],
        params=shown,
        versions=VERSIONS.read_text(encoding="utf-8").splitlines(),
    )
    path = REPORTS / "index.html"
    path.write_text(render(view(found)), encoding="utf-8")
    print(f"Written: {path}, {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _shown(params: Params, variants: list[str], external: dict[str, Any]) -> dict[str, Any]:
    """The parameters behind the page, without the user's paths."""
    return {
        "profile": params.profile,
        "variants": variants,
        **{name: params.value(name) for name in SECTIONS},
        **{f"profiles.{params.profile}.{name}": params.value(f"profile.{name}")
           for name in ("text", "model", "harvest", "train")},
        "external": {name: {key: value for key, value in given.items() if key != "path"}
                     for name, given in external.items()},
    }  # fmt: skip


def _json(path: Path, stage: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: run `dvc repro {stage}`.") from None
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({error}): run `dvc repro -f {stage}`.") from None


def _tsv(path: Path, stage: str) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: run `dvc repro {stage}`.") from None
    return [{name: cell if name in TEXTS else _number(cell) for name, cell in row.items()} for row in rows]


TEXTS = ("label", "a", "b", "run", "letter", "set", "class", "stage", "metric", "reason", "verdict", "how")
"""Columns that are text even where it reads as a number; empty text is the empty string."""


def _number(cell: str) -> float | int | str | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        return cell
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and "." not in cell and "e" not in cell else value
