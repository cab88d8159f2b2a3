"""The embedded language model: a tiny Gemma-2-architecture decoder, trained for a fixed number of steps.

Steps are fixed, not seconds, so that the weights are a function of the parameters, the thread count
and the machine class. Training runs on the CPU, where every operation it uses is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.lm.core.site import Site
from pipeline.lm.section import EmbeddedModel

BETAS = (0.9, 0.95)
CLIP = 1.0
"""Largest gradient norm."""
DECAY_FROM = 0.5
"""Share of the steps after which the learning rate falls linearly to zero."""
EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Step:
    """One optimizer step: tokens seen in it and its mean cross-entropy in nats."""

    index: int
    tokens: int
    loss: float


def build_model(section: EmbeddedModel, vocab_size: int, context_length: int, special: dict[str, int]) -> Any:
    """An untrained Gemma2ForCausalLM; `special` gives bos_token_id, eos_token_id and pad_token_id."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    given: dict[str, Any] = {**special, "attn_implementation": "eager"}
    config = Gemma2Config(
        vocab_size=vocab_size, hidden_size=section.d, intermediate_size=section.mlp,
        num_hidden_layers=section.layers, num_attention_heads=section.heads,
        num_key_value_heads=section.kv_heads, head_dim=section.head_dim,
        query_pre_attn_scalar=section.head_dim, sliding_window=section.window,
        max_position_embeddings=max(256, context_length), attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0, tie_word_embeddings=True, **given,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(section.seed)
        model: Any = Gemma2ForCausalLM(config)
        with torch.no_grad():
            # six times the default of 0.02: word identities start far apart, and first letters form sooner
            nn.init.normal_(model.model.embed_tokens.weight, std=section.embedding_std)
    return model


def train(model: Any, contexts: Tensor, section: EmbeddedModel) -> Iterator[Step]:
    """Train `model` on contexts (steps * batch, T) int64, each seen once, in order; yields every step.

    AdamW (Loshchilov and Hutter, 2019), warm-up, then constant, then linear decay over the last half.
    """
    optimizer = torch.optim.AdamW(parameter_groups(model, section.weight_decay), lr=section.lr, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, section))
    model.train()
    for index, batch in enumerate(contexts.split(section.batch)[: section.steps]):
        with _precision(section):
            loss = _mean_loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        yield Step(index, batch.numel(), loss.item())
    model.eval()


def _precision(section: EmbeddedModel) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=section.precision == "bfloat16")


def learning_rate_factor(step: int, section: EmbeddedModel) -> float:
    """Factor on the learning rate in `step`."""
    start = DECAY_FROM * section.steps
    left = (section.steps - step) / (section.steps - start)
    return min(1.0, (step + 1) / max(section.warmup, 1), left)


def parameter_groups(model: Any, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices only: RMSNorm multiplies by 1 + w, so decay would pull it towards 1."""
    matrices = [each for each in model.parameters() if each.ndim > 1]
    vectors = [each for each in model.parameters() if each.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


def _mean_loss(model: Any, batch: Tensor) -> Tensor:
    """Mean next-token cross-entropy over batch (B, T), in nats, BOS targets left out."""
    logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
    targets = batch[:, 1:].masked_fill(batch[:, 1:] == model.config.bos_token_id, -100)
    return nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100)


@torch.no_grad()
def cross_entropy(model: Any, contexts: Tensor) -> float:
    """Mean next-token cross-entropy in nats over contexts (C, T), float32, BOS targets left out."""
    total, count = 0.0, 0
    for batch in contexts.split(EVALUATION_BATCH):
        targets = int((batch[:, 1:] != model.config.bos_token_id).sum())
        total += float(_mean_loss(model, batch)) * targets
        count += targets
    return total / count


@torch.no_grad()
def residual_at_end(model: Any, prompts: list[list[int]], site: Site) -> Tensor:
    """Activations (W, d) at `site` at the last token of prompts of one length."""
    states = []
    for batch in torch.tensor(prompts).split(EVALUATION_BATCH):
        states.append(_last_states(model, batch, site))
    return torch.cat(states)


def _last_states(model: Any, batch: Tensor, site: Site) -> Tensor:
    caught: list[Tensor] = []
    handle = model.get_submodule(site.module("model.layers")).register_forward_hook(
        lambda _module, _inputs, output: caught.append(output[0] if isinstance(output, tuple) else output)
    )
    try:
        model.model(input_ids=batch, use_cache=False)
    finally:
        handle.remove()
    return caught[0][:, -1].float()


def save(model: Any, folder: Path) -> None:
    """Write the model (safetensors) in the layout that transformers reads back."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar per file of weights, even where there is no terminal
    model.save_pretrained(folder)
