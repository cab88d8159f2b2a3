"""Train the embedded language model on its own stream of documents, and measure what it learned."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.console.progress import Progress
from pipeline.lm.core.site import Site
from pipeline.lm.embedded import EVALUATION_BATCH, build_model, cross_entropy, residual_at_end, train
from pipeline.lm.letter_gate import letter_accuracy
from pipeline.lm.section import EmbeddedModel
from pipeline.text.embedded.prompts import drilled_words, letter_prompts
from pipeline.text.embedded.stream import contexts
from pipeline.text.section import EmbeddedText

HELD_OUT = 128
"""Contexts for the held-out cross-entropy."""
SHOTS = 3
"""Solved lines before the word in a first-letter prompt."""
ASK = "has the first letter :"


def trained(section: EmbeddedModel, text: EmbeddedText, tokenizer: Any) -> tuple[Any, list[float]]:
    """The trained model and the loss of every step, in nats."""
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = build_model(section, len(tokenizer), text.context_length, special)
    losses = []
    total = section.steps * section.batch * text.context_length
    with Progress("model", total=total, unit="tokens") as bar:
        for step in train(model, training_batches(section, text), section):
            losses.append(step.loss)
            bar.advance(step.tokens, loss=step.loss)
    return model, losses


def training_batches(section: EmbeddedModel, text: EmbeddedText) -> Iterator[Tensor]:
    """Batches (B, T) of the model's own streams, without end: the first `early_steps` have more drills."""
    early = contexts(text, f"model {section.seed} early", section.drill_share_early)
    late = contexts(text, f"model {section.seed}", section.drill_share)
    for step in count():
        yield _take(early if step < section.early_steps else late, section.batch)


def measure(model: Any, tokenizer: Any, section: EmbeddedModel, text: EmbeddedText) -> dict[str, Any]:
    """First-letter accuracy (letter_gate.py), the prompts answered, held-out cross-entropy in nats."""
    words = drilled_words(text)
    prompts = tokenizer(letter_prompts(words, SHOTS, section.seed))["input_ids"]
    residual = residual_at_end(model, prompts, Site("resid_post", section.site_layer))
    accuracy, held_out = letter_accuracy(residual, [word[0] for word in words], section.seed)
    held_out_text = _take(contexts(text, "model held-out", text.drill_share), HELD_OUT)
    return {
        "first_letter_accuracy": accuracy,
        "first_letter_predictions": held_out,
        "first_letter_layer": section.site_layer,
        "first_letter_answers": answered(model, tokenizer, prompts, words),
        "held_out_cross_entropy": cross_entropy(model, held_out_text),
    }


@torch.no_grad()
def answered(model: Any, tokenizer: Any, prompts: list[list[int]], words: list[str]) -> float:
    """Share of the words whose prompt, asked to the end, is answered with the right letter."""
    ask = tokenizer(ASK, add_special_tokens=False)["input_ids"]
    letters = torch.tensor(tokenizer.convert_tokens_to_ids([word[0].upper() for word in words]))
    best = [
        model(input_ids=batch, use_cache=False, logits_to_keep=1).logits[:, -1].argmax(-1)
        for batch in torch.tensor([prompt + ask for prompt in prompts]).split(EVALUATION_BATCH)
    ]
    return float((torch.cat(best) == letters).double().mean())


def _take(stream: Iterator[npt.NDArray[np.int32]], contexts: int) -> Tensor:
    return torch.from_numpy(np.stack(list(islice(stream, contexts)))).long()
