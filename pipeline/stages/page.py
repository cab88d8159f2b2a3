"""Stage `page`: the tables, charts, claims and latents as one page, reports/index.html.

Reads what other stages wrote, decides nothing and computes no number. The page holds no time, host or path,
so the same inputs give the same bytes.
"""

from __future__ import annotations

import sys
from typing import Any

from pipeline.compare.schemas import LETTERS, PROBING, STABILITY, SUMMARY, TRAINING
from pipeline.numbers.document import stage_of
from pipeline.numbers.files import read_json
from pipeline.numbers.table import read_table
from pipeline.page.render import render
from pipeline.page.view import Artefacts, view
from pipeline.params.experiment import Experiment
from pipeline.params.read import Params, read_params
from pipeline.stages.common.files import REPORT, REPORTS, TABLES, VERSIONS
from pipeline.tuning.searched import never_tried

DRAWN = {
    "summary": SUMMARY, "training": TRAINING, "letters": LETTERS, "probing": PROBING, "stability": STABILITY,
}  # fmt: skip
"""The tables that charts are drawn from."""


def run() -> None:
    """Write reports/index.html; raises BadInput naming the stage to run when an artefact is missing."""
    params = read_params()
    experiment = Experiment.read(params)
    shared = _shared(params)  # first, so that an unknown profile is named before a file that cannot be there
    report = read_json(REPORT, "compare")
    standing = read_json(TABLES / "standing.json", "compare")
    artefacts = Artefacts(
        report=report,
        planned=standing["planned"],
        standing=standing["groups"],
        tables={name: read_table(TABLES / f"{name}.tsv", DRAWN[name], "compare") for name in DRAWN},
        claims=read_json(REPORTS / "claims/claims.json", "claims")["claims"],
        latents=[
            read_json(
                REPORTS / "latents" / name / "latents.json",
                stage_of("latents", name, name in experiment.external),
            )
            for name in experiment.names
        ],
        params={
            "profile": params.profile,
            "variants": experiment.variants,
            "seeds": experiment.seeds,
            **{name: params.value(name) for name in ("letter_task", "probing_task")},
            **report["sections"],
            **shared,
            "methods never tuned on this profile": never_tried(params) or "none",
            "external": _external(params),
        },
        versions=VERSIONS.read_text(encoding="utf-8").splitlines(),
    )
    path = REPORTS / "index.html"
    path.write_text(render(view(artefacts)), encoding="utf-8")
    print(f"Written: {path}, {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _shared(params: Params) -> dict[str, Any]:
    names = ("text", "model", "harvest", "train")
    return {f"profiles.{params.profile}.{name}": params.value(f"profile.{name}") for name in names}


def _external(params: Params) -> dict[str, Any]:
    """Without the user's paths."""
    return {
        name: {key: value for key, value in given.items() if key != "path"}
        for name, given in params.value("external").items()
    }
