"""Stage `ground_truth@{variant}`: train the variant on a source whose truth is known, and count.

Writes reports/evaluations/ground_truth/{variant}: results.json and features.tsv (one row per true feature
and SAE). The SAEs are small and come back bit for bit from their seed, so they are not kept.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.console.progress import Progress
from pipeline.metrics.ground_truth.evaluate import METRICS, TABLES, evaluate
from pipeline.metrics.ground_truth.proxy import proxy_task
from pipeline.metrics.ground_truth.section import GroundTruthSection
from pipeline.metrics.ground_truth.synthetic import Sample, Source, draw, make_source
from pipeline.numbers.document import Identity, Measured, nothing, write_measured
from pipeline.parallel.processes import Count, Say, adding, at_once, spread
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.folder import save_sae, weights_hash
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.files import evaluation_folder, fresh
from pipeline.stages.common.saes import identified
from pipeline.store import Store
from pipeline.tasks.letters.task import LetterTask
from pipeline.training.job import Job, method
from pipeline.training.run import Trained, require, train
from pipeline.training.section import TrainSection

TUNED = "ground_truth_tuned"
"""Where the methods' values for this source are: it is no profile's text."""
TRAIN, TEST = 1, 2
"""Streams of a seed: what is trained on (and validated) and what is measured are drawn apart."""


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


def training_of(section: GroundTruthSection) -> TrainSection:
    """The section's values as the training room takes them: no log rows but the last, no checkpoints."""
    shared = section.model_dump(include={"n", "l0", "tokens", "batch", "lr", "dead_tokens"})
    validation = section.validation_contexts * section.source.context_length
    never = {"log_every": sys.maxsize, "checkpoint_every": sys.maxsize}
    return TrainSection.parse({**shared, "validation_tokens": validation, **never}, "ground_truth")


def run(variant: str) -> None:
    """Train `variant` on every seed's source and measure it there, each SAE in a process of its own.

    Raises BadInput for a section that cannot work. A diverged SAE's metrics are its reason.
    """
    params = read_params()
    section = params.get("ground_truth", GroundTruthSection)
    compute = params.get("profile.compute", ComputeSection)
    config = params.get(variant, method(variant)[0], tuned=TUNED)
    training, device = training_of(section), compute.apply()
    first = Job(variant, config, section.seeds[0])
    parts = first.apart(training)
    # before anything is drawn: two threads of small operations would wait for each other
    torch.set_num_threads(first.threads(training, compute.threads))
    trials = [Trial.of(section, seed) for seed in section.seeds]
    require(training, trials[0].store)
    pieces = [
        (trial, replace(first, seed=trial.seed, control=control), part)
        for trial in trials for control in first.controls for part in parts
    ]  # fmt: skip

    def one(piece: tuple[Trial, Job, TrainSection], say: Say) -> tuple[Identity, Measured]:
        trial, job, part = piece
        with Count(say, shown=piece is pieces[0]) as count:
            [trained] = train(job, part, trial.store, device, count)
        return _measurement(replace(trained, sae=trained.sae.to("cpu")), trial)

    with Progress(f"ground truth {variant}", first.tokens(training) * len(pieces), "tokens") as bar:
        measured = spread(one, pieces, adding(bar.advance), at_once(device))
    folder = fresh(evaluation_folder("ground_truth", variant))
    write_measured(folder, "ground_truth", variant, METRICS, TABLES, measured, section.model_dump(), True)


def _measurement(trained: Trained, trial: Trial) -> tuple[Identity, Measured]:
    identity = identified(trained.run, trained.sae, _hash(trained.sae), "synthetic", None)
    if trained.run.status != "ok":
        return identity, nothing(METRICS, trained.run.reason or "the training diverged")
    return identity, evaluate(trained.sae, trial.source, trial.test, trial.letters)


def _store(sample: Sample, section: GroundTruthSection) -> Store:
    train_end, end = section.train_contexts, section.train_contexts + section.validation_contexts
    return Store.from_tensors(
        sample.x, sample.document, sample.position, context_length=section.source.context_length,
        splits={"train": (0, train_end), "validation": (train_end, end)},
    )  # fmt: skip


def _hash(sae: SAE) -> str:
    """The hash that the SAE's weights file would have."""
    with tempfile.TemporaryDirectory() as folder:
        save_sae(Path(folder), sae, {})
        return weights_hash(Path(folder))
