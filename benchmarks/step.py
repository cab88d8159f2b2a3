"""Rows `step/*`: one training step of every variant beside others'; `precision/*`: what bfloat16 costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks import bare, others
from benchmarks.ours import stepper
from benchmarks.problem import Problem, Shape, activations, shapes
from benchmarks.timing import interleave
from pipeline.store import Store
from pipeline.training.job import Job
from pipeline.training.run import train
from pipeline.training.section import TrainSection

VARIANTS = (
    "standard", "topk", "batchtopk", "jumprelu", "gated", "matryoshka", "atm", "temporal", "tsae",
    "contrastive",
)  # fmt: skip
ROUNDS, SECONDS = 9, 15.0
PRECISION_STEPS = 240


def rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row, or those of one variant, as (key, record)."""
    for shape in shapes():
        for each in VARIANTS if variant is None else (variant,):
            yield f"step/{each}/n{shape.n}", _row(shape, each)


def _row(shape: Shape, variant: str) -> dict[str, Any]:
    problem = Problem(shape)
    work, trainers = {}, {}
    for precision in ("float32", "bfloat16"):
        name = f"ours, {precision}"
        work[name], trainers[name] = stepper(problem, variant, precision)
    if variant != "standard":
        work["ours, standard"] = stepper(problem, "standard", "float32")[0]
    work |= _others(problem, variant)
    times = interleave(work, ROUNDS, SECONDS)
    record: dict[str, Any] = {"shape": str(shape), "times": times, "tokens": shape.batch}
    record["l0"] = trainers["ours, float32"].figures["l0"]
    return record


def _others(problem: Problem, variant: str) -> dict[str, Callable[[], Any]]:
    work: dict[str, Callable[[], Any]] = {}
    if variant in others.SAELENS:
        work["SAELens"] = others.saelens(problem, variant)
        work["SAELens, autocast"] = others.saelens(problem, variant, autocast=True)
    if variant in others.DICTIONARY_LEARNING:
        work["dictionary_learning"] = others.dictionary_learning(problem, variant)
    if variant in bare.VARIANTS:
        work["bare dense loop"] = bare.dense(problem, variant)
        work["floor, float32"] = bare.floor(problem, variant, "float32")
        work["floor, bfloat16"] = bare.floor(problem, variant, "bfloat16")
    return work


def precision_rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Explained variance at the end of the same short training in float32 and with a bfloat16 encoder."""
    shape = shapes()[0]
    x = activations(shape.d, 1024 * 128, torch.Generator().manual_seed(1))
    store = Store.from_tensors(x, context_length=128, splits={"train": (0, 960), "validation": (960, 1024)})
    for each in bare.VARIANTS if variant is None else (variant,):
        found = {
            name: _trained(each, shape, store, precision, seed)
            for name, precision, seed in (
                ("float32", "float32", 0), ("bfloat16", "bfloat16", 0),
                ("float32, another seed", "float32", 1),
            )
        }  # fmt: skip
        difference = found["bfloat16"]["explained_variance"] - found["float32"]["explained_variance"]
        yield f"precision/{each}", {"steps": PRECISION_STEPS, "found": found, "difference": difference}


def _trained(variant: str, shape: Shape, store: Store, precision: str, seed: int) -> dict[str, float]:
    section = TrainSection.parse(
        {"n": shape.n, "l0": [shape.l0], "tokens": PRECISION_STEPS * 1024, "batch": 1024, "lr": 1e-3,
         "precision": precision, "dead_tokens": 10**9, "validation_tokens": 4096, "log_every": 50,
         "checkpoint_every": 10**6},
        "precision",
    )  # fmt: skip
    job = Job.of(variant, {"lr_scale": 4.0 if variant in ("standard", "jumprelu") else 1.0}, seed)
    one = train(job, section, store, torch.device(shape.device))[0]
    return {"explained_variance": one.log[-1]["explained_variance"], "l0": one.run.l0}
