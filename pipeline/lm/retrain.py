"""Train the embedded language model on its own stream of documents, and measure what it learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.console.progress import Progress
from pipeline.lm.core.site import Site
from pipeline.lm.embedded import build_model, cross_entropy, residual_at_end, train
from pipeline.lm.letter_gate import letter_accuracy
from pipeline.lm.section import EmbeddedModel
from pipeline.text.embedded.prompts import drilled_words, letter_prompts
from pipeline.text.embedded.stream import contexts
from pipeline.text.section import EmbeddedText

HELD_OUT = 128
"""Contexts for the held-out cross-entropy."""
SHOTS = 3
"""Solved lines before the word in a first-letter prompt."""


def trained(section: EmbeddedModel, text: EmbeddedText, tokenizer: Any) -> tuple[Any, list[float]]:
    """The trained model and the loss of every step, in nats."""
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = build_model(section, len(tokenizer), text.context_length, special)
    data = _contexts(text, f"model {section.seed}", section.steps * section.batch)
    losses = []
    with Progress("model", total=data.numel(), unit="tokens") as bar:
        for step in train(model, data, section):
            losses.append(step.loss)
            bar.advance(step.tokens, loss=step.loss)
    return model, losses


def measure(model: Any, tokenizer: Any, section: EmbeddedModel, text: EmbeddedText) -> dict[str, Any]:
    """First-letter accuracy (letter_gate.py) and held-out cross-entropy in nats."""
    words = drilled_words(text)
    prompts = tokenizer(letter_prompts(words, SHOTS, section.seed))["input_ids"]
    residual = residual_at_end(model, prompts, Site("resid_post", section.gate_layer))
    accuracy, held_out = letter_accuracy(residual, [word[0].lower() for word in words], section.seed)
    return {
        "first_letter_accuracy": accuracy,
        "first_letter_predictions": held_out,
        "first_letter_layer": section.gate_layer,
        "held_out_cross_entropy": cross_entropy(model, _contexts(text, "model held-out", HELD_OUT)),
    }


def _contexts(text: EmbeddedText, stream: str, count: int) -> Tensor:
    return torch.from_numpy(contexts(text, stream, count).tokens).long()
