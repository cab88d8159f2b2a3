"""`reconstruction VARIANT`: held-out reconstruction, sparsity, density and temporal consistency.

Reads the test split, writes reports/reconstruction/VARIANT: results.json, contexts.tsv and temporal.tsv
(sums per context, the items of a paired comparison), latents.tsv, density_histogram.tsv.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipeline.console.progress import Progress
from pipeline.metrics.common.controls import (
    RANDOM,
    SHUFFLED,
    moved,
    permuted,
    random_metric,
    random_sae,
    shuffled_metric,
)
from pipeline.metrics.common.number import Value, missing, results, row
from pipeline.metrics.common.tally import Resampling
from pipeline.metrics.reconstruction import density, geometry, temporal
from pipeline.metrics.reconstruction import measure as reconstruction
from pipeline.metrics.reconstruction.measure import Reconstruction, ReconstructionSection, mean_activation
from pipeline.metrics.reconstruction.temporal import Temporal, control, permutation
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.inference import SAE
from pipeline.stages.files import ACTIVATIONS, evaluation_folder, fresh, write_json, write_tsv
from pipeline.stages.saes import Trained, require_width, trained_saes
from pipeline.store import Batch, Store, open_store
from pipeline.store.blocks import blocks

UNTRAINED = {"explained_variance": "share", "dead_share": "share of latents", "flicker": "share"}
"""What is measured of an untrained SAE too, with its unit."""
METRICS = [
    *reconstruction.METRICS,
    *geometry.METRICS,
    *temporal.METRICS,
    shuffled_metric("explained_variance", "share"),
    *(random_metric(name, unit) for name, unit in UNTRAINED.items()),
]
SAE_COLUMNS = ("label", "seed", "run")


class Measured:
    """One SAE and everything measured on it."""

    def __init__(
        self, sae: SAE, identity: dict[str, Any], mean: torch.Tensor, section: ReconstructionSection
    ) -> None:
        n = sae.n
        self.sae, self.identity = sae, identity
        self.permuted, self.permuted_error = permuted(sae, section.seed), 0.0
        self.reconstruction = Reconstruction(n, mean)
        self.temporal, self.shuffled = Temporal(n, section.window), Temporal(n, section.window)

    def add(self, block: Batch, with_temporal: bool) -> None:
        """Measure a block of whole contexts; `with_temporal`: also its neighbouring tokens."""
        codes = self.sae.encode(block.x)
        self.reconstruction.add(block.x, self.sae.decode(codes), codes, block.context)
        self.permuted_error += float((block.x - self.permuted.decode(codes)).double().square().sum())
        if with_temporal:
            self.temporal.add(block.x, codes, block.document, block.position, block.context)

    def add_shuffled(self, block: Batch) -> None:
        """Measure neighbours in a block whose rows were permuted."""
        codes = self.sae.encode(block.x)
        self.shuffled.add(block.x, codes, block.document, block.position, block.context)

    def values(self, plan: Resampling) -> dict[str, Value]:
        """Every metric of the stage."""
        return {
            **self.reconstruction.values(plan),
            **geometry.values(self.sae),
            **self.temporal.values(plan),
            **control(self.shuffled.values(plan)),
        }

    def permuted_value(self, whole: Value) -> Value:
        """Explained variance with the decoder's rows permuted, missing where `whole`, the SAE's own, is."""
        if whole.value is None:
            return whole
        return Value(
            1 - self.permuted_error / self.reconstruction.tally.total("squared_deviation"), whole.items
        )

    @property
    def label(self) -> dict[str, Any]:
        """What names this SAE in the tables."""
        return {column: self.identity[column] for column in SAE_COLUMNS}

    def latents(self) -> Iterator[dict[str, Any]]:
        """One row per latent for latents.tsv."""
        switches = zip(self.temporal.on_followed.tolist(), self.temporal.stays_on.tolist(), strict=True)
        for entry, (followed, stays) in zip(
            self.reconstruction.density.latents(**self.label), switches, strict=True
        ):
            yield {**entry, "on_followed": followed, "stays_on": stays}


@torch.no_grad()
def run(variant: str) -> None:
    """Measure every SAE of `variant` on the test split."""
    params = read_params()
    section = params.get("reconstruction", ReconstructionSection)
    device = params.get("profile.compute", ComputeSection).apply()
    store = open_store(ACTIVATIONS)
    saes = list(trained_saes(variant, params.value("seeds"), device))
    require_width(saes, store.d, ACTIVATIONS)
    mean = mean_activation((block.x for block in blocks(store, section.batch_contexts, device)), store.d)
    measured, controls = {}, {}
    for trained in saes:
        if trained.run.status == "ok":
            measured[trained.folder] = Measured(trained.sae, trained.identity, mean, section)
            n, k = size = trained.sae.n, trained.control_k
            if size not in controls:
                untrained = moved(random_sae(mean.float()[None], n, k, section.seed), device)
                controls[size] = Measured(untrained, {}, mean, section)
    measure([*measured.values(), *controls.values()], store, section, device, variant)
    write(variant, saes, measured, controls, Resampling(section.resamples, section.seed))


def measure(
    measured: list[Measured], store: Store, section: ReconstructionSection, device: torch.device, variant: str
) -> None:
    """Pass the test split, then the shuffled control, through every SAE."""
    first = store.split("test").start // store.context_length
    held = []
    total = len(store.split("test")) * len(measured)
    with Progress(f"reconstruction {variant}", total, "tokens") as bar:
        for block in blocks(store, section.batch_contexts, device):
            temporal_block = block_within(block, first + section.temporal_contexts)
            if temporal_block:
                held.append(block)
            for each in measured:
                each.add(block, temporal_block)
                bar.advance(len(block.x))
    for block in shuffled(held, section.seed):
        for each in measured:
            each.add_shuffled(block)


def block_within(block: Batch, stop: int) -> bool:
    """Whether all of the block's contexts are below `stop`."""
    return bool((block.context < stop).all())


def shuffled(held: list[Batch], seed: int) -> Iterator[Batch]:
    """The same blocks with the rows of all of them permuted among their places."""
    if not held:
        return
    x = torch.cat([block.x for block in held])
    order = permutation(len(x), seed).to(x.device)
    start = 0
    for block in held:
        stop = start + len(block.x)
        yield replace(block, x=x[order[start:stop]])
        start = stop


def write(
    variant: str,
    saes: list[Trained],
    measured: dict[Path, Measured],
    controls: dict[tuple[int, int], Measured],
    plan: Resampling,
) -> None:
    """Write results.json and the tables."""
    folder = fresh(evaluation_folder("reconstruction", variant))
    untrained = {size: each.values(plan) for size, each in controls.items()}
    rows = []
    for trained in saes:
        if trained.folder in measured:
            each = measured[trained.folder]
            found = each.values(plan)
            found[f"explained_variance{SHUFFLED}"] = each.permuted_value(found["explained_variance"])
            beside = untrained[trained.sae.n, trained.control_k]
            found |= {f"{name}{RANDOM}": beside[name] for name in UNTRAINED}
        else:
            reason = missing(trained.run.reason or "the training diverged")
            found = {metric.name: reason for metric in METRICS}
        rows.append(row(trained.identity, found))
    write_json(folder / "results.json", results("reconstruction", variant, METRICS, rows))

    def table(name: str, columns: Iterable[str], entries: Iterable[Iterable[dict[str, Any]]]) -> None:
        write_tsv(folder / name, [*SAE_COLUMNS, *columns], (entry for each in entries for entry in each))

    table(
        "contexts.tsv", ("context", *reconstruction.COLUMNS),
        (each.reconstruction.tally.rows(**each.label) for each in measured.values()),
    )  # fmt: skip
    table(
        "temporal.tsv", ("context", *temporal.COLUMNS),
        (each.temporal.tally.rows(**each.label) for each in measured.values()),
    )  # fmt: skip
    table(
        "density_histogram.tsv", density.HISTOGRAM_COLUMNS,
        (each.reconstruction.density.histogram(**each.label) for each in measured.values()),
    )  # fmt: skip
    table(
        "latents.tsv", (*density.LATENT_COLUMNS, "on_followed", "stays_on"),
        (each.latents() for each in measured.values()),
    )  # fmt: skip
