"""Other people's training steps, through their public trainers, with our weights copied in.

SAELens: `SAETrainer.step` on a `TrainingSAE`. dictionary_learning: `Trainer.update`. Both keep what
they always do (statistics, clipping, unfused Adam); logging to wandb is off, as it is in ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch

from benchmarks.problem import LR, Problem

SAELENS = ("standard", "topk", "batchtopk", "jumprelu", "gated", "matryoshka")
DICTIONARY_LEARNING = ("standard", "topk", "batchtopk", "jumprelu", "gated", "matryoshka")


def saelens(problem: Problem, variant: str, autocast: bool = False) -> Callable[[], Any]:
    """One step of SAELens' trainer on `variant`; `autocast` is its own bfloat16 switch."""
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    shape = problem.shape
    sae = _saelens_sae(problem, variant)
    with torch.no_grad():
        sae.W_enc.copy_(problem.W_enc)
        sae.W_dec.copy_(problem.W_dec)
        if variant == "standard":
            sae.b_enc.copy_(-problem.threshold)
        if variant == "jumprelu":
            sae.threshold.copy_(problem.threshold)
        if variant == "gated":
            sae.b_gate.copy_(-problem.threshold)
            sae.b_mag.copy_(-problem.threshold)
    config = SAETrainerConfig(
        total_training_samples=10**9, train_batch_size_samples=shape.batch, lr=LR, lr_end=LR,
        device=shape.device, autocast=autocast,
    )  # fmt: skip
    batches = cycle(problem.batches("tokens"))
    trainer = SAETrainer(config, sae.to(shape.device), iter(()))
    return lambda: trainer.step(next(batches).x)


def _saelens_sae(problem: Problem, variant: str) -> Any:
    import sae_lens as sl

    shape = problem.shape
    common = {"d_in": shape.d, "d_sae": shape.n, "device": shape.device}
    topk = {"k": shape.l0, **common}
    if variant == "standard":
        return sl.StandardTrainingSAE(sl.StandardTrainingSAEConfig(l1_coefficient=0.01, **common))
    if variant == "topk":
        return sl.TopKTrainingSAE(sl.TopKTrainingSAEConfig(**topk))
    if variant == "batchtopk":
        return sl.BatchTopKTrainingSAE(sl.BatchTopKTrainingSAEConfig(**topk))
    if variant == "jumprelu":
        return sl.JumpReLUTrainingSAE(sl.JumpReLUTrainingSAEConfig(l0_coefficient=0.01, **common))
    if variant == "gated":
        return sl.GatedTrainingSAE(sl.GatedTrainingSAEConfig(l1_coefficient=0.01, **common))
    widths = [shape.n // 16, shape.n // 8, shape.n // 4, shape.n // 2, shape.n]
    return sl.MatryoshkaBatchTopKTrainingSAE(
        sl.MatryoshkaBatchTopKTrainingSAEConfig(matryoshka_widths=widths, **topk)
    )


def dictionary_learning(problem: Problem, variant: str) -> Callable[[], Any]:
    """One step of dictionary_learning's trainer on `variant`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = _dictionary_learning_trainer(problem, variant)
    names = dict(trainer.ae.named_parameters())
    with torch.no_grad():
        for name, value in (("encoder.weight", problem.W_enc.T), ("decoder.weight", problem.W_dec.T),
                            ("W_enc", problem.W_enc), ("W_dec", problem.W_dec)):  # fmt: skip
            if name in names:
                names[name].copy_(value)
        if variant == "standard":
            names["encoder.bias"].copy_(-problem.threshold)
        if variant == "jumprelu":
            names["threshold"].copy_(problem.threshold)
        if variant == "gated":
            names["gate_bias"].copy_(-problem.threshold)
            names["mag_bias"].copy_(-problem.threshold)
    batches = cycle(problem.batches("tokens"))
    # a step number past warm-up and past the decoder bias' first estimate
    return lambda: trainer.update(5000, next(batches).x)


def _dictionary_learning_trainer(problem: Problem, variant: str) -> Any:
    from dictionary_learning import trainers
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
    from dictionary_learning.trainers.top_k import TopKTrainer

    shape = problem.shape
    common = {
        "steps": 10**6, "activation_dim": shape.d, "dict_size": shape.n, "layer": 0, "lm_name": "none",
        "lr": LR, "warmup_steps": 0, "device": shape.device,
    }  # fmt: skip
    if variant == "standard":
        return trainers.StandardTrainer(l1_penalty=0.01, sparsity_warmup_steps=None, **common)
    if variant == "topk":
        return TopKTrainer(k=shape.l0, **common)
    if variant == "batchtopk":
        return trainers.BatchTopKTrainer(k=shape.l0, **common)
    if variant == "jumprelu":
        return trainers.JumpReluTrainer(target_l0=shape.l0, sparsity_warmup_steps=None, **common)
    if variant == "gated":
        return trainers.GatedSAETrainer(l1_penalty=0.01, sparsity_warmup_steps=None, **common)
    fractions = [1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2]
    return MatryoshkaBatchTopKTrainer(k=shape.l0, group_fractions=fractions, **common)
