"""Stage `page`: the tables, charts, claims and latents as one page, reports/index.html.

Reads what other stages wrote and computes no number. The page holds no time, host or path, so the same
inputs give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.page.render import render
from pipeline.page.view import Artefacts, view
from pipeline.params import Params, read_params
from pipeline.results.files import read_json
from pipeline.results.table import Columns, read_table
from pipeline.stages.files import REPORTS, evaluation_folder

TABLES = REPORTS / "tables"
VERSIONS = Path("requirements/numeric.txt")
SECTIONS = (
    "seeds",
    "letter_task",
    "probing_task",
    "reconstruction",
    "behavior",
    "absorption",
    "probing",
    "ground_truth",
)
"""Shown as they stand, after the profile and before the methods' own."""

DRAWN: dict[str, Columns] = {
    "summary": {"label": str, "run": str, "target": float, "stage": str, "metric": str, "mean": float,
                "low": float, "high": float, "reason": str},
    "training": {"label": str, "target": float, "tokens": float, "explained_variance": float, "l0": float},
    "letters": {"label": str, "target": float, "letter": str, "words": int, "fraction": float},
}  # fmt: skip
"""What charts need of reports/tables."""
PROBLEMS: Columns = {
    "label": str, "run": str, "set": str, "class": str, "k": int, "accuracy": float, "raw_neurons": float,
    "raw_dense": float,
}  # fmt: skip


def run() -> None:
    """Write reports/index.html; raises BadInput naming the stage to run when an artefact is missing."""
    params = read_params()
    variants, external = params.value("variants"), params.value("external")
    # first, so that a profile that does not exist is named before a file that cannot be there
    shown = _shown(params, variants, external)
    artefacts = Artefacts(
        report=read_json(TABLES / "report.json", "compare"),
        standing=read_json(TABLES / "standing.json", "compare")["groups"],
        tables={
            name: read_table(TABLES / f"{name}.tsv", columns, "compare") for name, columns in DRAWN.items()
        },
        problems=pd.concat(
            read_table(evaluation_folder("probing", name) / "problems.tsv", PROBLEMS, f"probing@{name}")
            for name in (*variants, *external)
        ),
        claims=read_json(REPORTS / "claims/claims.json", "claims")["claims"],
        latents=[
            read_json(REPORTS / "latents" / name / "latents.json", f"latents@{name}")
            for name in (*variants, *external)
        ],
        params=shown,
        versions=VERSIONS.read_text(encoding="utf-8").splitlines(),
    )
    path = REPORTS / "index.html"
    path.write_text(render(view(artefacts)), encoding="utf-8")
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
