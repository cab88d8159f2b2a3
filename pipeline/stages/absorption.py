"""Stage `absorption@VARIANT`: first-letter absorption of a variant's SAEs, by projection and by ablation.

The language model is loaded only where it spells (metrics/ablation_task.py); elsewhere the ablation's
values are missing with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from pipeline.console.errors import BadInput
from pipeline.console.progress import Progress
from pipeline.lm.load import load_lm
from pipeline.lm.site import Site
from pipeline.metrics.absorption import ablation_results
from pipeline.metrics.absorption import results as absorption_results
from pipeline.metrics.absorption import saebench as absorption_saebench
from pipeline.metrics.absorption.ablation import Ablated, ablate
from pipeline.metrics.absorption.measure import Absorption, AbsorptionSection, measure
from pipeline.metrics.common.controls import random_sae
from pipeline.metrics.common.number import Value, results, row
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.inference import SAE
from pipeline.stages.files import LETTERS, LM, evaluation_folder, fresh, write_json, write_tsv
from pipeline.stages.saes import Trained, trained_saes
from pipeline.tasks.letters.ablation import AblationTask, Halves, load_ablation
from pipeline.tasks.letters.saebench_probe import load_probe
from pipeline.tasks.letters.task import LetterTask, load_letters

WHICH = ["label", "seed", "run"]
METRICS = absorption_results.METRICS + ablation_results.METRICS + absorption_saebench.METRICS
TABLES = {
    "letters.tsv": absorption_results.LETTER_COLUMNS,
    "words.tsv": absorption_results.WORD_COLUMNS,
    "predictions.tsv": absorption_results.PREDICTION_COLUMNS,
    "ablation.tsv": ablation_results.COLUMNS,
}
"""The tables beside results.json, and their columns after `WHICH`."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Found:
    """The values of one SAE and its rows of each table."""

    values: dict[str, Value]
    tables: dict[str, Rows] = field(default_factory=dict)


@dataclass(frozen=True)
class Speller:
    """The language model, and the prompts that it answers."""

    prompts: AblationTask
    halves: Halves


def run(variant: str) -> None:
    """Write results.json, letters.tsv, words.tsv, predictions.tsv and ablation.tsv of `variant`."""
    params = read_params()
    section = params.get("absorption", AbsorptionSection)
    compute = params.get("profile.compute", ComputeSection)
    device = compute.apply()
    task, prompts = load_letters(LETTERS), load_ablation(LETTERS)
    saes = list(trained_saes(variant, params.value("seeds"), device))
    speller = prompts if isinstance(prompts, str) else _speller(prompts, task, device, compute)
    measured = _measured(task, speller, section)
    rows: Rows = []
    tables: dict[str, Rows] = {name: [] for name in TABLES}
    with Progress(f"absorption {variant}", total=len(saes), unit="SAEs") as bar:
        for trained in saes:
            found = measured(trained)
            which = {column: trained.identity[column] for column in WHICH}
            rows.append(row(trained.identity, found.values))
            for name, entries in found.tables.items():
                tables[name] += [{**which, **each} for each in entries]
            bar.advance(1)
    folder = fresh(evaluation_folder("absorption", variant))
    write_json(folder / "results.json", results("absorption", variant, METRICS, rows))
    for name, columns in TABLES.items():
        write_tsv(folder / name, WHICH + columns, tables[name])


def _speller(
    prompts: AblationTask, task: LetterTask | str, device: torch.device, compute: ComputeSection
) -> Speller:
    """Load the language model; raises BadInput unless it is the one that the prompts were made for."""
    assert isinstance(task, LetterTask)
    lm = load_lm(LM, device, compute.lm_precision)
    if lm.weights_sha256 != prompts.facts["weights_sha256"]:
        raise BadInput(f"{LETTERS} was made for other weights than {LM}: run `dvc repro letter_task`.")
    return Speller(prompts, Halves.of(lm, Site("resid_post", int(task.facts["layer"]))))


def _measured(
    task: LetterTask | str, speller: Speller | str, section: AbsorptionSection
) -> Callable[[Trained], Found]:
    """What is found of a trained SAE, or why nothing is."""
    reason = task if isinstance(task, str) else None
    few = None if isinstance(task, str) else absorption_results.too_few(task, section)
    if few is not None:
        reason = few["mean_full_absorption"].reason

    @cache
    def control(n: int, k: int) -> dict[str, Value]:
        """The untrained SAE's values, measured once per size."""
        assert isinstance(task, LetterTask)
        sae = random_sae(task.x, n, k, section.seed)
        return _random_values(sae, task, speller, section)

    def of(trained: Trained) -> Found:
        if trained.run.status != "ok":
            return Found(_missing(str(trained.run.reason)))
        if reason is not None or isinstance(task, str):
            return Found(_missing(str(reason)) | (few or {}))
        found = _one(trained.sae, task, speller, section)
        return Found(found.values | control(trained.sae.n, trained.control_k), found.tables)

    return of


def _one(sae: SAE, task: LetterTask, speller: Speller | str, section: AbsorptionSection) -> Found:
    found = measure(sae, task, section)
    values = absorption_results.values(found, task, section)
    values |= absorption_saebench.values(sae, task, load_probe(LETTERS), section)
    tables = {
        "letters.tsv": absorption_results.letter_rows(found, task, section),
        "words.tsv": absorption_results.word_rows(found, task, section),
        "predictions.tsv": absorption_results.prediction_rows(found, task, section),
    }
    if isinstance(speller, str):
        return Found(values | ablation_results.all_missing(speller), tables)
    kept = absorption_results.kept_letters(task, section)
    ablated = _ablated(sae, found, task, speller, section)
    values |= ablation_results.values(ablated, speller.prompts, kept, section)
    return Found(values, tables | {"ablation.tsv": ablation_results.rows(ablated, task, speller.prompts)})


def _random_values(
    sae: SAE, task: LetterTask, speller: Speller | str, section: AbsorptionSection
) -> dict[str, Value]:
    found = measure(sae, task, section)
    values = absorption_results.random_values(found, task, section)
    if not isinstance(speller, str):
        kept = absorption_results.kept_letters(task, section)
        ablated = _ablated(sae, found, task, speller, section)
        values |= ablation_results.random_values(ablated, kept, section)
    return values


def _ablated(
    sae: SAE, found: Absorption, task: LetterTask, speller: Speller, section: AbsorptionSection
) -> Ablated:
    kept = absorption_results.kept_letters(task, section)
    return ablate(sae, found.splits, task, speller.prompts, speller.halves, kept, section)


def _missing(reason: str) -> dict[str, Value]:
    modules = (absorption_results, ablation_results, absorption_saebench)
    return {name: value for module in modules for name, value in module.all_missing(reason).items()}
