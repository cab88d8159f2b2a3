"""Stage `ground_truth@{variant}`: train the variant on a source whose truth is known, and count.

Writes reports/ground_truth/{variant}: results.json and features.tsv (one row per true feature and SAE).
The SAEs are small and come back bit for bit from their seed, so they are not kept.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.console.progress import Progress
from pipeline.metrics.ground_truth import proxy
from pipeline.metrics.ground_truth.measure import METRICS as EXACT
from pipeline.metrics.ground_truth.measure import Measured, absent, measure
from pipeline.metrics.ground_truth.proxy import proxy_task, proxy_values
from pipeline.metrics.ground_truth.section import GroundTruthSection
from pipeline.metrics.ground_truth.synthetic import Sample, Source, draw, make_source
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.results.document import Identity, write_measured
from pipeline.results.document import Measured as SaeResults
from pipeline.results.number import Number, missing
from pipeline.results.table import Columns
from pipeline.sae.core.folder import TENSORS, save_sae, weights_hash
from pipeline.sae.core.inference import SAE
from pipeline.stages.files import evaluation_folder, fresh
from pipeline.stages.saes import identified
from pipeline.store import Mode, Store
from pipeline.tasks.letters.task import LetterTask
from pipeline.training.run import Job, Trained, encoded_tokens, train
from pipeline.training.section import TrainSection

TABLES: dict[str, Columns] = {
    "features.tsv": {
        "feature": int, "kind": str, "parent": int, "latent": int, "cosine": float, "f1": float
    },
}  # fmt: skip
"""One row per true feature; a feature without a parent, or an F1 that is not defined, has an empty cell."""
METRICS = EXACT + proxy.METRICS
TRAIN, TEST = 1, 2
"""Streams of a seed: what is trained on (and validated) and what is measured are drawn apart."""


@dataclass(frozen=True)
class Plan:
    """One variant, its section's values, and the readings it is trained on (None: the method's own)."""

    variant: str
    values: Mapping[str, Any]
    section: GroundTruthSection
    device: torch.device
    threads: int

    def jobs(self, seed: int) -> list[Job]:
        """The trainings of `seed`: the method's own reading, then its control rows."""
        readings: list[Mode | None] = [None, *self.values.get("controls", [])]
        return [Job(self.variant, self.values, seed, reading) for reading in readings]

    def tokens(self) -> int:
        """Tokens encoded by all trainings."""
        section = self.section
        return sum(
            encoded_tokens(job, training_of(section)) for seed in section.seeds for job in self.jobs(seed)
        )


def training_of(section: GroundTruthSection) -> TrainSection:
    """The section's values as the training room takes them: no log rows but the last, no checkpoints."""
    shared = section.model_dump(include={"n", "l0", "tokens", "batch", "lr", "dead_tokens"})
    validation = section.validation_contexts * section.source.context_length
    never = {"log_every": sys.maxsize, "checkpoint_every": sys.maxsize}
    return TrainSection.parse({**shared, "validation_tokens": validation, **never}, "ground_truth")


def run(variant: str) -> None:
    """Train `variant` on every seed's source and measure it there.

    Raises BadInput for a section that cannot work. A diverged SAE's metrics are its reason.
    """
    params = read_params()
    section = params.get("ground_truth", GroundTruthSection)
    compute = params.get("profile.compute", ComputeSection)
    plan = Plan(variant, params.value(variant), section, compute.apply(), compute.threads)
    found: list[tuple[Identity, SaeResults]] = []
    with Progress(f"ground truth {variant}", plan.tokens(), "tokens") as bar:
        for seed in section.seeds:
            source = make_source(section.source, seed)
            test = draw(source, section.test_contexts, seed, TEST)
            letters = proxy_task(source, test, seed)
            for trained in _train(plan, source, seed, bar):
                measured = _measure(trained, source, test)
                identity = identified(trained.run, trained.sae, _hash(trained.sae), "synthetic", None)
                features = list(_features(source, measured)) if measured else []
                numbers = _values(trained, measured, letters)
                found.append((identity, SaeResults(numbers, {"features.tsv": features})))
    folder = fresh(evaluation_folder("ground_truth", variant))
    write_measured(folder, "ground_truth", variant, METRICS, TABLES, found, own_saes=True)


def _train(plan: Plan, source: Source, seed: int, bar: Progress) -> Iterator[Trained]:
    """The SAEs of one seed, on the CPU, where they are measured."""
    section = plan.section
    store = _store(draw(source, section.train_contexts + section.validation_contexts, seed, TRAIN), section)

    def show(tokens: int, figures: dict[str, float]) -> None:
        bar.advance(tokens, **{name: figures[name] for name in ("loss", "l0") if name in figures})

    for job in plan.jobs(seed):
        for trained in train(job, training_of(section), store, plan.device, plan.threads, show):
            yield replace(trained, sae=_on_cpu(trained.sae))


def _store(sample: Sample, section: GroundTruthSection) -> Store:
    train_end, end = section.train_contexts, section.train_contexts + section.validation_contexts
    return Store.from_tensors(
        sample.x, sample.document, sample.position, context_length=section.source.context_length,
        splits={"train": (0, train_end), "validation": (train_end, end)},
    )  # fmt: skip


def _measure(trained: Trained, source: Source, test: Sample) -> Measured | None:
    """None for a diverged SAE."""
    return measure(trained.sae, source, test) if trained.run.status == "ok" else None


def _values(trained: Trained, measured: Measured | None, letters: LetterTask | str) -> dict[str, Number]:
    """Exact metrics and the proxy's, or the reason for each."""
    if measured is None:
        reason = trained.run.reason or "the training diverged"
        return absent(reason) | {metric.name: missing(reason) for metric in proxy.METRICS}
    return measured.values | proxy_values(trained.sae, letters)


def _on_cpu(sae: SAE) -> SAE:
    tensors = {name: getattr(sae, name) for name in TENSORS}
    return replace(sae, **{name: t.cpu() for name, t in tensors.items() if t is not None})


def _hash(sae: SAE) -> str:
    """The hash that the SAE's weights file would have."""
    with tempfile.TemporaryDirectory() as folder:
        save_sae(Path(folder), sae, {})
        return weights_hash(Path(folder))


def _features(source: Source, measured: Measured) -> Iterator[dict[str, Any]]:
    """One row per true feature."""
    columns = (source.parent, measured.matches.latent, measured.matches.cosine, measured.f1)
    kinds, lists = source.kinds, [column.tolist() for column in columns]
    for feature, (kind, parent, latent, cosine, f1) in enumerate(zip(kinds, *lists, strict=True)):
        yield {
            "feature": feature, "kind": kind, "parent": parent if parent >= 0 else None, "latent": latent,
            "cosine": cosine, "f1": f1,
        }  # fmt: skip
