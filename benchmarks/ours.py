"""This project's training step, as the stage `train` runs it: objective, update and statistics."""

from __future__ import annotations

from itertools import cycle

import torch

from benchmarks.problem import LR, Problem
from pipeline.sae.method.variant import Recipe
from pipeline.training.controller import SparsityController
from pipeline.training.job import method
from pipeline.training.trainer import Trainer, initial_weights

STEPS = 100_000
"""Of the run that the measured steps pretend to be the middle of."""


def trainer(problem: Problem, variant: str, precision: str, index: int = STEPS // 2) -> Trainer:
    """A trainer of `variant` at the problem's L0, with the shared weights."""
    shape = problem.shape
    config_type, method_type = method(variant)
    built = method_type(config_type(), shape.d, shape.n, shape.l0)
    generator = torch.Generator().manual_seed(problem.seed)
    weights = initial_weights(built, problem.x[: shape.batch].to(shape.device), generator)
    with torch.no_grad():
        weights["W_enc"].copy_(problem.W_enc)
        weights["W_dec"].copy_(problem.W_dec)
        weights["b_dec"].zero_()
        for name in ("b_gate", "b_mag"):
            if name in weights:
                weights[name].copy_(-problem.threshold)
        if "threshold" in weights:
            weights["threshold"].copy_(problem.threshold / shape.d**0.5)
        elif built.controlled and "b_enc" in weights:
            weights["b_enc"].copy_(-problem.threshold)
    recipe = built.recipe(Recipe(STEPS, shape.batch, LR, decay=STEPS // 5))
    return Trainer(
        variant=built,
        recipe=recipe,
        scale=1.0,
        dead_tokens=10**12,  # as in the other implementations, no latent is dead within the measurement
        precision=precision,
        weights=weights,
        generator=generator,
        controller=SparsityController(shape.l0, 0.01, STEPS, 0.4) if built.controlled else None,
        fired=torch.zeros(shape.n, dtype=torch.int64, device=shape.device),
        step_index=index,
    )


def stepper(problem: Problem, variant: str, precision: str):
    """A function that takes one step, and the trainer it moves."""
    one = trainer(problem, variant, precision)
    batches = cycle(problem.batches(type(one.variant).reading))
    return lambda: one.step(next(batches)), one
