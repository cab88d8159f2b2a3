"""`stability VARIANT`: which latents of an SAE the variant's other seeds find too.

The SAEs of one run (equal target and reading) are compared with each other. Reads the test split. Table:
latents.tsv (one row per latent and other seed).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from pipeline.console.progress import Progress
from pipeline.metrics.stability.activity import activity
from pipeline.metrics.stability.measure import METRICS, TABLES, Trained, measure
from pipeline.metrics.stability.section import StabilitySection
from pipeline.numbers.document import Measured, nothing, write_measured
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.index import EXTERNAL
from pipeline.stages.common import saes
from pipeline.stages.common.files import ACTIVATIONS, evaluation_folder, fresh
from pipeline.store import Batch, Store, open_store
from pipeline.store.blocks import blocks


def run(variant: str) -> None:
    """Compare the seeds of every run of `variant`; a run with one seed has no number, and says so."""
    params = read_params()
    section = params.get("stability", StabilitySection)
    device = params.get("profile.compute", ComputeSection).apply()
    store = open_store(ACTIVATIONS)
    found = list(saes.trained_saes(variant, params.value("seeds"), device))
    saes.require_width(found, store.d, ACTIVATIONS)
    with Progress(f"stability {variant}", len(found), "SAEs") as bar:
        measured = {name: _measured(of_run, store, section, device, bar)
                    for name, of_run in _by_run(found).items()}  # fmt: skip
    rows = [(each.identity, measured[each.run.name][each.run.seed]) for each in found]
    folder = fresh(evaluation_folder("stability", variant))
    write_measured(folder, "stability", variant, METRICS, TABLES, rows, section.model_dump())


def _by_run(found: list[saes.Trained]) -> dict[str, list[saes.Trained]]:
    runs: dict[str, list[saes.Trained]] = {}
    for each in found:
        runs.setdefault(each.run.name, []).append(each)
    return runs


def _measured(
    of_run: list[saes.Trained], store: Store, section: StabilitySection, device: torch.device, bar: Progress
) -> dict[int, Measured]:
    """By seed."""
    well = [each for each in of_run if each.run.status == "ok"]
    known: dict[int, Measured] = {}
    if len(well) > 1:
        tested = {}
        for each in well:
            found = _first(store, section, device)
            tested[each.run.seed] = Trained(each.sae, activity(each.sae, found))
            bar.advance(1)
        known = measure(tested, section)
    return {each.run.seed: known.get(each.run.seed) or nothing(METRICS, _why(each)) for each in of_run}


def _first(store: Store, section: StabilitySection, device: torch.device) -> Iterator[Batch]:
    """The test blocks that are measured on."""
    last = store.split("test").start // store.context_length + section.contexts
    for block in blocks(store, section.batch_contexts, device):
        if int(block.context[0]) >= last:
            return
        yield block


def _why(each: saes.Trained) -> str:
    if each.run.status != "ok":
        return each.run.reason or "the training diverged"
    if each.run.reading == EXTERNAL:
        return "an SAE trained elsewhere has no second seed to be compared with"
    return "one seed alone: there is no other SAE of this run to compare it with"
