"""model: train the embedded language model, or pin and hash a given one, into models/lm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.console.progress import Progress
from pipeline.lm.embedded import build_model, cross_entropy, residual_at_end, save, train
from pipeline.lm.letter_gate import letter_accuracy
from pipeline.lm.resolve import resolve_hub, resolve_local, write_resolved
from pipeline.lm.section import EmbeddedModel, HubModel, parse_model
from pipeline.params import Params, read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.files import LM, fresh, write_json
from pipeline.text.embedded.prompts import drilled_words, letter_prompts
from pipeline.text.embedded.stream import contexts
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.section import EmbeddedText, parse_text

HELD_OUT = 128
"""Contexts for the held-out cross-entropy."""
SHOTS = 3
"""Solved lines before the word in a first-letter prompt."""


def run() -> None:
    """Write models/lm with its resolved.json. Raises BadInput for a model that cannot be had or used."""
    params = read_params()
    section = parse_model(params.value("profile.model"), f"profiles.{params.profile}.model")
    if isinstance(section, EmbeddedModel):
        _embedded(params, section)
    elif isinstance(section, HubModel):
        resolve_hub(section.name, section.revision, fresh(LM))
    else:
        resolve_local(Path(params.value("inputs.model")), fresh(LM))


def _embedded(params: Params, section: EmbeddedModel) -> None:
    text = parse_text(params.value("profile.text"), f"profiles.{params.profile}.text")
    if not isinstance(text, EmbeddedText):
        raise BadInput(
            "params.yaml: the embedded model reads embedded text only; set `text.source: embedded`."
        )
    params.get("profile.compute", ComputeSection).apply()
    tokenizer = embedded_tokenizer(text)
    model = build_model(section, len(tokenizer), text.context_length, _special(tokenizer))
    losses = _train(model, section, text)
    report = {"steps": len(losses), "train_loss_last_50": sum(losses[-50:]) / len(losses[-50:])}
    report |= _measure(model, tokenizer, section, text)
    _check_gate(report["first_letter_accuracy"], section)
    _save(model, tokenizer, report)


def _special(tokenizer: Any) -> dict[str, int]:
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}


def _train(model: Any, section: EmbeddedModel, text: EmbeddedText) -> list[float]:
    data = _contexts(text, f"model {section.seed}", section.steps * section.batch)
    losses = []
    with Progress("model", total=data.numel(), unit="tokens") as bar:
        for step in train(model, data, section):
            losses.append(step.loss)
            bar.advance(step.tokens, loss=step.loss)
    return losses


def _measure(model: Any, tokenizer: Any, section: EmbeddedModel, text: EmbeddedText) -> dict[str, Any]:
    words = drilled_words(text)
    prompts = tokenizer(letter_prompts(words, SHOTS, section.seed))["input_ids"]
    residual = residual_at_end(model, prompts, section.gate_layer)
    accuracy, held_out = letter_accuracy(residual, [word[0].lower() for word in words], section.seed)
    return {
        "first_letter_accuracy": accuracy,
        "first_letter_predictions": held_out,
        "first_letter_layer": section.gate_layer,
        "held_out_cross_entropy": cross_entropy(model, _contexts(text, "model held-out", HELD_OUT)),
    }


def _check_gate(accuracy: float, section: EmbeddedModel) -> None:
    if accuracy < section.gate:
        raise BadInput(
            f"The embedded model knows {accuracy:.1%} of the first letters of held-out words after block "
            f"{section.gate_layer}, less than `model.gate` ({section.gate:.0%}), so absorption would mean "
            "nothing: raise `model.steps` or `text.drill_share`."
        )


def _contexts(text: EmbeddedText, stream: str, count: int) -> Tensor:
    return torch.from_numpy(contexts(text, stream, count).tokens).long()


def _save(model: Any, tokenizer: Any, report: dict[str, Any]) -> None:
    folder = fresh(LM)
    save(model, tokenizer, folder)
    write_resolved(folder, "embedded", "embedded", None)
    write_json(folder / "report.json", report)
