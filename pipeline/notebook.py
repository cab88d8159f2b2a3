"""The public interface for a notebook: a store, an SAE, its numbers, what a latent responds to.

Thin: every function is one of the core's with paths, sizes and defaults filled in. `import pipeline` is
enough and cheap; the names load what they need when first used. docs/notebook.md is the guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.latents.contexts import Peaks
from pipeline.latents.words import word
from pipeline.lm.core.tokenizer import load_tokenizer
from pipeline.metrics.reconstruction.evaluate import Split, evaluate
from pipeline.metrics.reconstruction.measure import mean_activation
from pipeline.metrics.reconstruction.section import ReconstructionSection
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from pipeline.sae.formats.external import Location
from pipeline.sae.formats.read import read
from pipeline.store import Batch, Store
from pipeline.store import open_store as _open
from pipeline.store.blocks import blocks, rows_at

BLOCK = 16
"""Contexts encoded at once."""
AROUND = 12
"""Tokens shown on either side of a peak."""


def open_store(folder: str | Path = "data/activations") -> Store:
    """The activation store at `folder`, or at a URL `s3://...`; raises BadInput when absent or altered."""
    return _open(folder if isinstance(folder, str) and "://" in folder else Path(folder))


def load_sae(folder: str | Path) -> SAE:
    """The SAE in `folder`: one of ours or of SAELens, dictionary_learning, sparsify or Gemma Scope."""
    return read(Location(Path(folder), Path(folder).as_posix())).sae


@torch.no_grad()
def measure(sae: SAE, store: Store, split: str = "test", resamples: int = 1000) -> dict[str, Number]:
    """The reconstruction stage's numbers on a split, by name; means over tokens carry 95 % intervals.

    Raises BadInput when the SAE takes activations of another width than the store's.
    """
    _require(sae, store)
    section = ReconstructionSection.model_validate({"resamples": resamples})
    measured = Split(
        partial(_blocks, store, split),
        partial(_blocks, store, "train", section.dead_tokens),
        mean_activation((block.x for block in _blocks(store, split)), store.d),
        stop=store.count,
    )
    return dict(evaluate([sae], measured, section, lambda _: None)[0].numbers)


@dataclass(frozen=True)
class Peak:
    """A context in which a latent fires; printed, it is the text around the strongest token."""

    context: int  # index of the context in the store
    position: int  # of the strongest token
    activation: float  # there
    tokens: list[int] = field(repr=False)  # all T of the context
    activations: Tensor = field(repr=False)  # (T,), 0 at special tokens
    words: list[str] = field(repr=False)  # the tokens as text

    def __str__(self) -> str:
        shown = [
            f"[{word}]" if index == self.position else word
            for index, word in enumerate(self.words)
            if abs(index - self.position) <= AROUND
        ]
        return f"{self.activation:8.3f}  {' '.join(shown)}"


@torch.no_grad()
def top_contexts(
    sae: SAE, store: Store, latent: int, count: int = 10, split: str = "test", lm: str | Path = "models/lm"
) -> list[Peak]:
    """Up to `count` contexts in which `latent` fires most strongly, each once, the strongest first.

    `lm` is the language model's folder, whose tokenizer gives the words. An empty list: it never fires.
    """
    _require(sae, store)
    if not 0 <= latent < sae.n:
        raise BadInput(f"latent {latent} is not among the SAE's latents, 0 to {sae.n - 1}.")
    peaks = Peaks(latent, count)
    for block in _blocks(store, split):
        peaks.add(sae.encode(block.x, block.past), block.context)
    tokenizer = load_tokenizer(Path(lm))
    return [_peak(sae, store, latent, int(context), tokenizer) for context in peaks.context]


def _peak(sae: SAE, store: Store, latent: int, context: int, tokenizer: Any) -> Peak:
    start, length = context * store.context_length, store.context_length
    span = slice(start, start + length)
    valid = np.flatnonzero(store.valid[span])
    rows = rows_at(store, start + valid)
    codes = sae.encode(rows.x, rows.past)
    own = codes.pairs.latent == latent
    activations = torch.zeros(length)
    activations[torch.from_numpy(valid)[codes.pairs.token[own]]] = codes.value[own]
    tokens = [int(token) for token in store.tokens[span]]
    position = int(activations.argmax())
    words = [word(tokenizer, token) for token in tokens]
    return Peak(context, position, float(activations[position]), tokens, activations, words)


def _blocks(store: Store, split: str, tokens: int | None = None) -> Iterator[Batch]:
    return blocks(store, BLOCK, torch.device("cpu"), split, tokens)


def _require(sae: SAE, store: Store) -> None:
    if sae.d != store.d:
        raise BadInput(f"the SAE takes activations of width {sae.d}, but the store holds width {store.d}.")
