"""compare: every evaluation of every variant and seed in one table, metrics.json and figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.charts.figures import figures
from pipeline.compare import notes as remarks
from pipeline.compare import ranking, series
from pipeline.compare.board import Board, Entry, board
from pipeline.compare.differences import chapters
from pipeline.compare.digest import digest
from pipeline.compare.headline import SCORES, TRUTH
from pipeline.compare.markdown import markdown
from pipeline.compare.paired import tables as paired
from pipeline.compare.paired.comparison import families
from pipeline.compare.paired.sampling import sample
from pipeline.compare.table import report
from pipeline.compare.terminal import show
from pipeline.console.errors import BadInput
from pipeline.params.read import Params, read_params
from pipeline.stages.files import (
    EVALUATED,
    REPORTS,
    evaluation_folder,
    external_folder,
    fresh,
    sae_folder,
    write_json,
    write_tsv,
)
from pipeline.stages.read import read_json, read_tsv, typed

TITLE = "Sparse autoencoders compared"
EVALUATIONS = ("reconstruction", "behavior", "absorption", "probing", "ground_truth")
GIVEN = tuple(stage for stage in EVALUATIONS if stage != "ground_truth")
"""The evaluations of an SAE trained elsewhere: only a training method can be tried on synthetic data."""


def run() -> None:
    """Gather, write reports/metrics.json, reports/tables and reports/figures, print the table.

    Raises BadInput naming the stage to run when a result is missing or belongs to other weights.
    """
    params = read_params()
    variants, seeds = _list(params, "variants", str), _list(params, "seeds", int)
    given = _external(params, variants)
    profile = params.profile
    _name_stale(variants, seeds, given)
    whole = board(
        {(variant, seed): _index(variant, seed) for variant in variants for seed in seeds}
        | {(name, 0): _given_index(name) for name in given},
        {(stage, variant): _results(stage, variant) for stage in EVALUATIONS for variant in variants}
        | {(stage, name): _results(stage, name, "_external") for stage in GIVEN for name in given},
    )
    if not whole.entries:
        raise BadInput(
            "No SAE was trained: every index.json under models/sae is empty; run `dvc repro train`."
        )
    curves = [(entry, _training_tsv(entry)) for entry in whole.entries if not entry.external]
    by_letter = series.letters(_letters(whole, [*variants, *given]))
    compared = families(whole, sample(whole, _items))
    tables, told_apart = report(whole, compared), chapters(compared)
    caption = remarks.caption(seeds)
    notes = remarks.notes(whole, tables, compared, seeds, profile, _tokens(curves))
    ranked = ranking.rankings(whole)
    notes += ranking.notes(ranked)
    columns = [asdict(column) for column in (*SCORES, *TRUTH)]
    tables_drawn = {
        "summary": pd.DataFrame(series.summaries(whole), columns=list(series.SUMMARY_COLUMNS)),
        "training": pd.DataFrame(series.training(curves), columns=list(series.TRAINING_COLUMNS)),
        "letters": pd.DataFrame(by_letter, columns=list(series.LETTER_COLUMNS)),
    }
    drawn = figures(tables_drawn, columns)

    folder = fresh(REPORTS / "tables")
    write_tsv(folder / "scores.tsv", series.SCORE_COLUMNS, series.scores(whole))
    write_tsv(folder / "summary.tsv", series.SUMMARY_COLUMNS, series.summaries(whole))
    write_tsv(folder / "pareto.tsv", series.PARETO_COLUMNS, series.pareto(whole))
    write_tsv(folder / "training.tsv", series.TRAINING_COLUMNS, series.training(curves))
    write_tsv(folder / "letters.tsv", series.LETTER_COLUMNS, by_letter)
    write_tsv(folder / "ranking.tsv", ranking.COLUMNS, ranked)
    write_tsv(folder / "pairs.tsv", paired.PAIR_COLUMNS, paired.pairs(compared))
    write_tsv(folder / "curves.tsv", paired.CURVE_COLUMNS, paired.curves(whole, compared))
    _write(folder / "table.md", markdown(TITLE, tables, told_apart, caption, notes).encode())
    # what the page needs beside the TSVs: the rows as printed, and what must be known to read them
    said = {"title": TITLE, "caption": caption, "notes": notes, **asdict(tables)}
    write_json(folder / "report.json", said)
    pictures = fresh(REPORTS / "figures")
    for name, png in drawn.items():
        _write(pictures / f"{name}.png", png)
    write_json(REPORTS / "metrics.json", digest(whole))
    show(tables, caption, notes)
    print(f"\nWritten: {REPORTS / 'metrics.json'}, {folder}/, {pictures}/", file=sys.stderr)


def _list(params: Params, key: str, kind: type) -> list[Any]:
    values = params.value(key)
    if not isinstance(values, list) or not values or any(type(value) is not kind for value in values):
        raise BadInput(
            f"params.yaml: `{key}` must be a list of at least one {kind.__name__}, not {values!r}."
        )
    if len(set(values)) < len(values):
        raise BadInput(f"params.yaml: `{key}` names one of its items twice: {values!r}.")
    return list(values)


def _external(params: Params, variants: list[str]) -> list[str]:
    values = params.value("external")
    if not isinstance(values, dict):
        raise BadInput(f"params.yaml: `external` must be a section ({{}} for none), not {values!r}.")
    twice = [name for name in values if name in variants]
    if twice:
        raise BadInput(
            f"params.yaml: `external` and `variants` both name {twice[0]!r}; rename the external one."
        )
    return list(values)


def _given_index(name: str) -> list[dict[str, Any]]:
    return read_json(external_folder(name) / "index.json", f"external@{name}")


def _index(variant: str, seed: int) -> list[dict[str, Any]]:
    path = sae_folder(variant, seed) / "index.json"
    return read_json(path, f"train@{variant}-{seed}")


def _results(stage: str, variant: str, kind: str = "") -> dict[str, Any]:
    path = evaluation_folder(stage, variant) / "results.json"
    return read_json(path, f"{stage}{kind}@{variant}")


def _items(stage: str, variant: str, file: str) -> list[dict[str, Any]]:
    return typed(read_tsv(evaluation_folder(stage, variant) / file, f"{stage}@{variant}"))


def _training_tsv(entry: Entry) -> list[dict[str, Any]]:
    path = sae_folder(entry.variant, entry.seed) / entry.run / "training.tsv"
    return typed(read_tsv(path, f"train@{entry.variant}-{entry.seed}"))


def _letters(whole: Board, variants: list[str]) -> Iterator[tuple[Entry, list[dict[str, Any]]]]:
    """Each SAE with its rows of reports/absorption/{variant}/letters.tsv."""
    for variant in variants:
        path = evaluation_folder("absorption", variant) / "letters.tsv"
        rows = typed(read_tsv(path, f"absorption@{variant}"))
        for entry in whole.entries:
            if entry.variant == variant:
                yield entry, [row for row in rows if (row["seed"], row["run"]) == (entry.seed, entry.run)]


def _tokens(curves: list[tuple[Entry, list[dict[str, Any]]]]) -> list[int]:
    """Training tokens of each SAE that finished, from the last row of its training.tsv."""
    ends = [rows[-1].get("tokens") for entry, rows in curves if rows and not entry.diverged]
    return [int(end) for end in ends if end is not None]


def _name_stale(variants: list[str], seeds: list[int], given: list[str]) -> None:
    """Say on stderr which folders of earlier runs are ignored; they change nothing."""
    known = {*variants, *given}
    stale = [
        folder
        for parent in (Path("models/sae"), *(EVALUATED / stage for stage in EVALUATIONS))
        for folder in _folders(parent)
        if folder.name not in known
    ]
    numbers = {str(seed) for seed in seeds}
    stale += [
        folder
        for variant in variants
        for folder in _folders(Path("models/sae") / variant)
        if folder.name not in numbers
    ]
    for folder in stale:
        print(f"ignored: {folder} is not in the variants and seeds of params.yaml", file=sys.stderr)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
