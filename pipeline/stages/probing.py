"""Stage `probing@VARIANT`: k-sparse probing of every SAE of one variant, beside the raw residual stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from pipeline.console.progress import Progress
from pipeline.metrics.common.controls import moved, random_sae
from pipeline.metrics.common.number import Value, results, row
from pipeline.metrics.probing import saebench as probing_saebench
from pipeline.metrics.probing.measure import ProbingSection
from pipeline.metrics.probing.pooling import pooled_codes
from pipeline.metrics.probing.results import (
    PROBLEM_COLUMNS,
    all_missing,
    baselines,
    item_columns,
    item_rows,
    metrics,
    probe,
    problem_rows,
    random_values,
    values,
)
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.files import PROBING, evaluation_folder, fresh, write_json, write_tsv
from pipeline.stages.saes import trained_saes
from pipeline.tasks.probing.task import ProbingTask, load_probing

WHICH = ["label", "seed", "run"]


def run(variant: str) -> None:
    """Write results.json, problems.tsv and items.tsv of `variant`."""
    params = read_params()
    section = params.get("probing", ProbingSection)
    device = params.get("profile.compute", ComputeSection).apply()
    task = load_probing(PROBING)
    saes = list(trained_saes(variant, params.value("seeds"), device))
    raw = probe(task.mean, task, section.k)
    beside = baselines(raw, task, section) | probing_saebench.values("llm", task.mean, task, section)
    definitions = metrics(task, section) + probing_saebench.metrics(section)
    control = _control(task, section, device)
    rows, problems, items = [], [], []
    with Progress(f"probing {variant}", total=len(saes), unit="SAEs") as bar:
        for trained in saes:
            which = {column: trained.identity[column] for column in WHICH}
            if trained.run.status != "ok":
                reason = str(trained.run.reason)
                nothing = all_missing(task, section, reason) | probing_saebench.all_missing(section, reason)
                rows.append(row(trained.identity, nothing))
            else:
                codes = pooled_codes(trained.sae, task.x, task.offsets)
                probed = probe(codes, task, section.k)
                found = values(probed, task, section) | control(trained.sae.n, trained.control_k)
                compatible = probing_saebench.values("sae", codes, task, section)
                compatible |= probing_saebench.probing_all(codes, task, section)
                rows.append(row(trained.identity, found | beside | compatible))
                problems += [{**which, **each} for each in problem_rows(probed, raw, task)]
                items += [{**which, **each} for each in item_rows(probed, task)]
            bar.advance(1)
    folder = fresh(evaluation_folder("probing", variant))
    write_json(folder / "results.json", results("probing", variant, definitions, rows))
    write_tsv(folder / "problems.tsv", WHICH + PROBLEM_COLUMNS, problems)
    write_tsv(folder / "items.tsv", WHICH + item_columns(section.k), items)


def _control(
    task: ProbingTask, section: ProbingSection, device: torch.device
) -> Callable[[int, int], dict[str, Value]]:
    """The untrained SAE's values by (n, k), each measured once."""

    @cache
    def control(n: int, k: int) -> dict[str, Value]:
        sae = moved(random_sae(task.x, n, k, section.seed), device)
        return random_values(probe(pooled_codes(sae, task.x, task.offsets), task, section.k), task, section)

    return control
