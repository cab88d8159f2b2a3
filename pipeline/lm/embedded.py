"""The embedded language model: a tiny Gemma-2-architecture decoder, trained for a fixed number of steps.

Steps are fixed, not seconds, so that the weights are a function of the parameters, the thread count
and the machine class. Training runs on the CPU, where every operation it uses is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.lm.core.site import Site
from pipeline.lm.fused import fuse_norms, head_loss, plain_norms
from pipeline.lm.objectives import Balance, FutureBag
from pipeline.lm.section import EmbeddedModel

BETAS = (0.9, 0.95)
CLIP = 1.0
"""Largest gradient norm."""
DECAY_FROM = 0.8
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
        final_logit_softcapping=30.0, tie_word_embeddings=False, **given,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(section.seed)
        model: Any = Gemma2ForCausalLM(config)
        with torch.no_grad():
            # input and output words apart: tied, words' identities take most of the variance of every block
            nn.init.normal_(model.model.embed_tokens.weight, std=section.embedding_std)
            nn.init.normal_(model.lm_head.weight, std=section.head_std)
    return model


def train(model: Any, batches: Iterator[Tensor], section: EmbeddedModel) -> Iterator[Step]:
    """Train `model` on `section.steps` of `batches` (B, T) int64, each seen once; yields every step.

    AdamW (Loshchilov and Hutter, 2019); warm-up, constant, linear decay over the last fifth. Objectives: the
    next token, and the two of objectives.py.
    """
    bag = FutureBag(section.d, section.seed)
    balance = Balance(model.config.vocab_size, section.d, section.token_share, section.participation)
    optimizer = torch.optim.AdamW(parameter_groups(model, bag, section), lr=section.lr, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, section))
    model.train()
    fuse_norms(model)
    for index, batch in zip(range(section.steps), batches, strict=False):
        with _precision(section):
            loss, total = _losses(model, bag, balance, batch, section)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([*model.parameters(), *bag.parameters()], CLIP)
        optimizer.step()
        schedule.step()
        yield Step(index, batch.numel(), loss.item())
    plain_norms(model)
    model.eval()


def _precision(section: EmbeddedModel) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=section.precision == "bfloat16")


def learning_rate_factor(step: int, section: EmbeddedModel) -> float:
    """Factor on the learning rate in `step`."""
    left = (section.steps - step) / ((1 - DECAY_FROM) * section.steps)
    return min(1.0, (step + 1) / max(section.warmup, 1), left)


def parameter_groups(model: Any, bag: FutureBag, section: EmbeddedModel) -> list[dict[str, Any]]:
    """Embeddings learn slowly; only matrices decay: RMSNorm multiplies by 1 + w, which decay pulls to 1."""
    words = model.get_input_embeddings().weight
    others = [each for each in [*model.parameters(), *bag.parameters()] if each is not words]
    matrices = [each for each in others if each.ndim > 1]
    vectors = [each for each in others if each.ndim <= 1]
    decay = section.weight_decay
    return [
        {"params": [words], "weight_decay": decay, "lr": section.lr * section.embedding_lr},
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _losses(
    model: Any, bag: FutureBag, balance: Balance, batch: Tensor, section: EmbeddedModel
) -> tuple[Tensor, Tensor]:
    """Mean next-token cross-entropy of `batch` (B, T) in nats, no BOS targets; and the whole objective."""
    bos, cap = model.config.bos_token_id, model.config.final_logit_softcapping
    head = model.lm_head.weight
    with caught(model, Site("resid_post", section.site_layer)) as site:
        last = model.model(input_ids=batch, use_cache=False).last_hidden_state[:, :-1]
    targets = batch[:, 1:]
    asked = targets != bos
    shares = asked.flatten()[:, None].float()
    loss = head_loss(last.flatten(0, 1), head, targets.flatten()[:, None], shares, cap) / asked.sum()
    residual, word = site[0], batch != bos
    future = bag(residual, batch, bos, head, cap)
    return loss, loss + section.future_weight * future + balance(residual[word], batch[word])


@contextmanager
def caught(model: Any, site: Site) -> Iterator[list[Tensor]]:
    """The activations (B, T, d) at `site` of every forward pass inside."""
    found: list[Tensor] = []
    handle = model.get_submodule(site.module("model.layers")).register_forward_hook(
        lambda _module, _inputs, output: found.append(output[0] if isinstance(output, tuple) else output)
    )
    try:
        yield found
    finally:
        handle.remove()


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
    with caught(model, site) as found:
        model.model(input_ids=batch, use_cache=False)
    return found[0][:, -1].float()


def save(model: Any, folder: Path) -> None:
    """Write the model (safetensors) in the layout that transformers reads back."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar per file of weights, even where there is no terminal
    model.save_pretrained(folder)
