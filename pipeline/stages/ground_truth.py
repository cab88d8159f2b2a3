"""Stage `ground_truth@{variant}`: train the variant on a source whose truth is known, and count.

Writes reports/ground_truth/{variant}: results.json and features.tsv (one row per true feature and SAE).
The SAEs are small and come back bit for bit from their seed, so they are not kept.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from pipeline.console.progress import Progress
from pipeline.metrics.common.number import Value, missing, results, row
from pipeline.metrics.ground_truth import proxy
from pipeline.metrics.ground_truth.measure import METRICS as EXACT
from pipeline.metrics.ground_truth.measure import Measured, absent, measure
from pipeline.metrics.ground_truth.proxy import proxy_task, proxy_values
from pipeline.metrics.ground_truth.synthetic import Sample, Source, SourceSection, draw, make_source
from pipeline.parallel.processes import Count, Say, adding, spread
from pipeline.params import Section, read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.folder import TENSORS, save_sae, weights_hash
from pipeline.sae.core.inference import SAE
from pipeline.stages.files import evaluation_folder, fresh, write_json, write_tsv
from pipeline.store import Store
from pipeline.tasks.letters.task import LetterTask
from pipeline.training.job import Job, method
from pipeline.training.run import Trained, require, train
from pipeline.training.section import TrainSection

COLUMNS = ("label", "seed", "run", "feature", "kind", "parent", "latent", "cosine", "f1")
METRICS = EXACT + proxy.METRICS
TRAIN, TEST = 1, 2
"""Streams of a seed: what is trained on (and validated) and what is measured are drawn apart."""


class GroundTruthSection(Section):
    """Section `ground_truth` of params.yaml: the source, and how every variant is trained on it."""

    seeds: list[int] = Field([0, 1], min_length=1, description="each draws a source, its tokens and weights")
    n: int = Field(256, gt=0, description="dictionary size; the default source has 192 true features")
    l0: list[int] = Field(
        [5, 10], min_length=1, description="L0 targets; the default source has 4.7 true features per token"
    )
    tokens: int = Field(300_000, gt=0, description="tokens encoded in training")
    batch: int = Field(512, gt=1, description="tokens per step")
    lr: float = Field(0.01, gt=0, description="peak learning rate, before a method's lr_scale")
    dead_tokens: int = Field(20_000, gt=0, description="a latent silent for this many tokens counts as dead")
    train_contexts: int = Field(2048, gt=0, description="contexts to train on")
    validation_contexts: int = Field(64, gt=0, description="contexts on which L0 and the guards are measured")
    test_contexts: int = Field(512, gt=0, description="contexts that are measured")
    source: SourceSection = Field(
        SourceSection.model_validate({}), description="sizes and rates of the synthetic source"
    )

    def training(self) -> TrainSection:
        """These values as the training room takes them: no log rows but the last, no checkpoints."""
        shared = self.model_dump(include={"n", "l0", "tokens", "batch", "lr", "dead_tokens"})
        validation = self.validation_contexts * self.source.context_length
        never = {"log_every": sys.maxsize, "checkpoint_every": sys.maxsize}
        return TrainSection.parse({**shared, "validation_tokens": validation, **never}, "ground_truth")


@dataclass(frozen=True)
class Trial:
    """The source of one seed: tokens to train on, tokens to measure on, and the proxy's task."""

    seed: int
    source: Source
    store: Store
    test: Sample
    letters: LetterTask | str

    @classmethod
    def of(cls, section: GroundTruthSection, seed: int) -> Trial:
        """Drawn from `seed`."""
        source = make_source(section.source, seed)
        test = draw(source, section.test_contexts, seed, TEST)
        drawn = draw(source, section.train_contexts + section.validation_contexts, seed, TRAIN)
        return cls(seed, source, _store(drawn, section), test, proxy_task(source, test, seed))


Measurement = tuple[dict[str, Any], list[dict[str, Any]]]
"""One SAE's row of the results and its rows of the features' table."""


def run(variant: str) -> None:
    """Train `variant` on every seed's source and measure it there, each SAE in a process of its own.

    Raises BadInput for a section that cannot work. A diverged SAE's metrics are its reason.
    """
    params = read_params()
    section = params.get("ground_truth", GroundTruthSection)
    compute = params.get("profile.compute", ComputeSection)
    config, training, device = params.get(variant, method(variant)[0]), section.training(), compute.apply()
    trials = [Trial.of(section, seed) for seed in section.seeds]
    require(training, trials[0].store)
    first = Job(variant, config, section.seeds[0])
    pieces = [
        (trial, replace(first, seed=trial.seed, reading=reading), part)
        for trial in trials for reading in first.readings for part in first.apart(training)
    ]  # fmt: skip
    torch.set_num_threads(max(1, compute.threads // len(first.apart(training))))

    def one(piece: tuple[Trial, Job, TrainSection], say: Say) -> Measurement:
        trial, job, part = piece
        with Count(say, shown=piece is pieces[0]) as count:
            [trained] = train(job, part, trial.store, device, count)
        return _measurement(replace(trained, sae=_on_cpu(trained.sae)), trial)

    with Progress(f"ground truth {variant}", first.tokens(training) * len(pieces), "tokens") as bar:
        at_once = 0 if device.type == "cpu" else 1
        measured = spread(one, pieces, adding(bar.advance), at_once)
    folder = fresh(evaluation_folder("ground_truth", variant))
    rows = [each for each, _ in measured]
    write_json(folder / "results.json", results("ground_truth", variant, METRICS, rows))
    write_tsv(folder / "features.tsv", COLUMNS, [each for _, features in measured for each in features])


def _measurement(trained: Trained, trial: Trial) -> Measurement:
    measured = _measure(trained, trial.source, trial.test)
    features = [*_features(trained, trial.source, measured)] if measured else []
    return row(_identity(trained), _values(trained, measured, trial.letters)), features


def _store(sample: Sample, section: GroundTruthSection) -> Store:
    train_end, end = section.train_contexts, section.train_contexts + section.validation_contexts
    return Store.from_tensors(
        sample.x, sample.document, sample.position, context_length=section.source.context_length,
        splits={"train": (0, train_end), "validation": (train_end, end)},
    )  # fmt: skip


def _measure(trained: Trained, source: Source, test: Sample) -> Measured | None:
    """None for a diverged SAE."""
    return measure(trained.sae, source, test) if trained.run.status == "ok" else None


def _values(trained: Trained, measured: Measured | None, letters: LetterTask | str) -> dict[str, Value]:
    """Exact metrics and the proxy's, or the reason for each."""
    if measured is None:
        reason = trained.run.reason or "the training diverged"
        return absent(reason) | {metric.name: missing(reason) for metric in proxy.METRICS}
    return measured.values | proxy_values(trained.sae, letters)


def _on_cpu(sae: SAE) -> SAE:
    tensors = {name: getattr(sae, name) for name in TENSORS}
    return replace(sae, **{name: t.cpu() for name, t in tensors.items() if t is not None})


def _identity(trained: Trained) -> dict[str, Any]:
    """What stages/saes.py gives for an SAE on disk."""
    run, sae = trained.run, trained.sae
    return {
        "variant": run.variant,
        "label": run.label,
        "seed": run.seed,
        "reading": run.reading,
        "target": run.target,
        "run": run.name,
        "status": run.status,
        "reason": run.reason,
        "l0": run.l0,
        "on_target": run.on_target,
        "sae_sha256": _hash(sae),
        "model": "synthetic",
        "layer": None,
        "n": sae.n,
        "d": sae.d,
    }


def _hash(sae: SAE) -> str:
    """The hash that the SAE's weights file would have."""
    with tempfile.TemporaryDirectory() as folder:
        save_sae(Path(folder), sae, {})
        return weights_hash(Path(folder))


def _features(trained: Trained, source: Source, measured: Measured) -> Iterator[dict[str, Any]]:
    """One row per true feature; an F1 that is not defined stays an empty cell."""
    run = trained.run
    columns = (source.parent, measured.matches.latent, measured.matches.cosine, measured.f1)
    kinds, lists = source.kinds, [column.tolist() for column in columns]
    for feature, (kind, parent, latent, cosine, f1) in enumerate(zip(kinds, *lists, strict=True)):
        yield {
            "label": run.label,
            "seed": run.seed,
            "run": run.name,
            "feature": feature,
            "kind": kind,
            "parent": parent if parent >= 0 else "",
            "latent": latent,
            "cosine": cosine,
            "f1": "" if f1 != f1 else f1,
        }
