"""compare: every evaluation of every variant and seed in one table, metrics.json and figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.charts.figures import figures
from pipeline.compare import notes as remarks
from pipeline.compare import planned, ranking, schemas, tables
from pipeline.compare.markdown import markdown
from pipeline.compare.metrics_json import metrics_json
from pipeline.compare.outcomes import answers, content, document
from pipeline.compare.paired.comparison import Family, families
from pipeline.compare.paired.reached import intervals_json, reached
from pipeline.compare.paired.resampling import resample
from pipeline.compare.report import Intervals, report
from pipeline.compare.resolved import resolved
from pipeline.compare.scores import Scores, Source, each_row, gather
from pipeline.compare.section import CompareSection
from pipeline.compare.stability import stability
from pipeline.compare.standing import standing
from pipeline.compare.terminal import show
from pipeline.console.errors import BadInput
from pipeline.numbers.document import NAME, Results, read_beside, read_results, stage_of, train_stage
from pipeline.numbers.files import SCHEMAS, absent, damaged, read_json, write_json
from pipeline.numbers.table import Columns, read_table, write_table
from pipeline.params.experiment import Experiment
from pipeline.params.read import read_params
from pipeline.sae.core.index import EXTERNAL, INDEX, Run, runs_of
from pipeline.stages.common.files import (
    EVALUATED,
    REPORT,
    REPORTS,
    TABLES,
    external_folder,
    external_stage,
    fresh,
    sae_folder,
)

TITLE = "Sparse autoencoders compared"
FIGURES = REPORTS / "figures"
Long = dict[str, tuple[Columns, Any]]
"""Tables by name: their columns and rows."""
LETTERS, PROBLEMS = ("absorption", "letters.tsv"), ("probing", "problems.tsv")
STABILITY = ("stability", "latents.tsv")
"""The tables that the charts of first letters, of probing tasks and of stability are drawn from."""


Evaluated = dict[tuple[str, str], Results]
"""By evaluation and variant."""


@dataclass(frozen=True)
class Compared:
    """All scores, and what follows from them."""

    scores: Scores
    families: list[Family]
    intervals: Intervals
    plan: planned.Plan
    curves: list[tuple[Any, pd.DataFrame]]  # each SAE that was trained here with its training.tsv
    ranked: list[dict[str, Any]]

    @classmethod
    def of(cls, scores: Scores, found: Evaluated, section: CompareSection) -> Compared:
        """Of `scores`, with the items of the evaluations `found` drawn again."""
        planned.check(section, scores)
        draws = resample(scores, partial(table_of, found))
        judged = families(scores, draws, section.margins)
        return cls(
            scores, judged, reached(scores, draws), planned.planned(section, judged),
            list(_curves(scores.text)), ranking.rankings(scores.truth),
        )  # fmt: skip

    def tables(self, found: Evaluated) -> Long:
        """What lies in reports/tables."""
        scores = self.scores
        return {
            "scores": (schemas.SCORES, tables.scores(scores)),
            "summary": (schemas.SUMMARY, tables.summary(scores, self.intervals)),
            "pareto": tables.pareto(scores),
            "training": (schemas.TRAINING, tables.training(self.curves)),
            "letters": (schemas.LETTERS, tables.letters(_all(found, *LETTERS), scores.text)),
            "probing": (schemas.PROBING, tables.probing(_all(found, *PROBLEMS), scores.text)),
            "stability": (schemas.STABILITY, stability(_all(found, *STABILITY), scores.text)),
            "ranking": (schemas.RANKING, self.ranked),
            "pairs": (schemas.PAIRS, tables.pairs(self.families)),
            "planned": (schemas.PLANNED, tables.planned(self.plan, self.families)),
            "curves": (schemas.CURVES, tables.curves(scores, self.families)),
        }


def run() -> None:
    """Gather, write metrics.json, intervals.json, tables and figures under reports, print the table.

    Raises BadInput naming the stage to run when a result is missing or belongs to other weights.
    """
    params = read_params()
    experiment, section = Experiment.read(params), params.get("compare", CompareSection)
    _name_stale(experiment)
    trained, found = indices(experiment), evaluations(experiment)
    measured_with = sections(found)
    if not any(trained.values()):
        raise BadInput(
            "No SAE was trained: every index.json under models/sae is empty; run `dvc repro train`."
        )
    compared = Compared.of(gather(trained, list(found.values())), found, section)
    long = compared.tables(found)
    folder = _write(long, _draw(long, compared.scores))
    _say(compared, experiment, measured_with, folder)
    print(f"\nWritten: {REPORTS / 'metrics.json'}, {REPORT}, {folder}/, {FIGURES}/", file=sys.stderr)


def _say(compared: Compared, experiment: Experiment, measured_with: dict[str, Any], folder: Path) -> None:
    """Write the comparison as text into `folder` and the reports, and print it."""
    scores, intervals = compared.scores, compared.intervals
    rows, levels = report(scores, compared.families, intervals), standing(scores, compared.families)
    answered = answers(compared.plan)
    caption = remarks.caption(experiment.seeds)
    tokens = _tokens(compared.curves)
    notes = remarks.notes(scores, levels, experiment.seeds, experiment.profile, tokens)
    notes += ranking.notes(compared.ranked)
    text = markdown(TITLE, rows, answered, levels, caption, notes)
    (folder / "table.md").write_text(text, encoding="utf-8")
    write_json(folder / "standing.json", document(levels, answered))
    said = {
        "title": TITLE, "caption": caption, "notes": notes, **asdict(rows), "sections": measured_with,
        "planned": content(answered), "resolved": resolved(levels),
        "ranking": ranking.printed(compared.ranked),
    }  # fmt: skip
    write_json(REPORT, {"schema": SCHEMAS["report.json"], **said})
    write_json(REPORTS / "metrics.json", metrics_json(scores))
    cells = intervals_json(scores, intervals)
    write_json(REPORTS / "intervals.json", {"schema": SCHEMAS["intervals.json"], "cells": cells})
    show(rows, answered, caption, notes)


def _draw(long: Long, scores: Scores) -> dict[str, bytes]:
    columns = [{**asdict(column), "source": source.name} for source in scores for column in source.scores]
    return figures({name: table for name, (_, table) in long.items()}, columns)


def _write(long: Long, pictures: dict[str, bytes]) -> Path:
    """The folder of the tables."""
    folder = fresh(TABLES)
    for name, (types, table) in long.items():
        write_table(folder / f"{name}.tsv", types, table)
    fresh(FIGURES)
    for name, png in pictures.items():
        (FIGURES / f"{name}.png").write_bytes(png)
    return folder


def indices(experiment: Experiment) -> dict[tuple[str, int], list[Run]]:
    """The index.json of every (variant, seed); raises BadInput for one that is missing."""
    trained = {
        (variant, seed): _runs(sae_folder(variant, seed), train_stage(variant, seed))
        for variant in experiment.variants
        for seed in experiment.seeds
    }
    given = {(name, 0): _runs(external_folder(name), external_stage(name)) for name in experiment.external}
    return trained | given


def _runs(folder: Path, stage: str) -> list[Run]:
    path = folder / INDEX
    try:
        return runs_of(read_json(path, stage))
    except ValueError as error:
        raise damaged(path, stage, error) from None


def evaluations(experiment: Experiment) -> Evaluated:
    """What lies in reports/evaluations, by (evaluation, variant); raises BadInput where one variant lacks
    what another has."""
    found: Evaluated = {}
    for folder in _folders(EVALUATED):
        of_variants = {name: folder / name for name in experiment.names if (folder / name / NAME).is_file()}
        results = {
            name: read_results(path, _stage(folder.name, name, experiment))
            for name, path in of_variants.items()
        }
        if not results:
            continue
        own = any(each.own_saes for each in results.values())
        for name in experiment.variants if own else experiment.names:
            if name not in results:
                raise absent(folder / name / NAME, _stage(folder.name, name, experiment))
        found |= {(folder.name, name): each for name, each in results.items()}
    return found


def sections(found: Evaluated) -> dict[str, Any]:
    """The parameters of each evaluation; raises BadInput where two variants were measured under others."""
    known: dict[str, Any] = {}
    for (evaluation, variant), results in found.items():
        if known.setdefault(evaluation, results.section) != results.section:
            raise BadInput(
                f"{evaluation} measured {variant} with other parameters than the variants before it: run "
                f"`dvc repro {evaluation}`."
            )
    return known


def _stage(evaluation: str, variant: str, experiment: Experiment) -> str:
    return stage_of(evaluation, variant, variant in experiment.external)


def table_of(found: Evaluated, stage: str, variant: str, file: str) -> pd.DataFrame:
    """A table beside the results of `stage` for `variant`."""
    return read_beside(EVALUATED / stage / variant, found[stage, variant], file)


def _all(found: Evaluated, evaluation: str, file: str) -> pd.DataFrame | None:
    """The table `file` of all variants; None where the evaluation was not run."""
    parts = [table_of(found, stage, variant, file) for stage, variant in found if stage == evaluation]
    return pd.concat(parts, ignore_index=True) if parts else None


def _curves(text: Source) -> Iterator[tuple[Any, pd.DataFrame]]:
    """`Compared.curves`."""
    for sae in each_row(text.saes[text.saes.reading != EXTERNAL]):
        folder = sae_folder(str(sae.variant), int(sae.seed)) / str(sae.run)
        yield sae, read_table(folder / "training.tsv", schemas.LOG, train_stage(sae.variant, sae.seed))


def _tokens(curves: Sequence[tuple[Any, pd.DataFrame]]) -> list[int]:
    """Training tokens of each SAE that finished, from the last row of its training.tsv."""
    ended = [points for sae, points in curves if pd.isna(sae.diverged)]
    return [int(points.tokens.iloc[-1]) for points in ended if len(points)]


def _name_stale(experiment: Experiment) -> None:
    """Say on stderr which folders of earlier runs are ignored; they change nothing."""
    seeds = {str(seed) for seed in experiment.seeds}
    stale = [
        folder
        for parent in (Path("models/sae"), *_folders(EVALUATED))
        for folder in _folders(parent)
        if folder.name not in experiment.names
    ]
    stale += [
        folder
        for variant in experiment.variants
        for folder in _folders(Path("models/sae") / variant)
        if folder.name not in seeds
    ]
    for folder in stale:
        print(f"ignored: {folder} is not in the variants and seeds of params.yaml", file=sys.stderr)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
