"""The `letter_task` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section


class LetterTaskSection(Section):
    """`letter_task`: words and prompts of the first-letter task."""

    seed: int = Field(0, ge=0, description="seed of the choice of words, their folds and in-context words")
    in_context: int = Field(10, ge=1, le=64, description="example lines before the word (SAEBench: 10)")
    max_words: int = Field(5000, ge=100, description="words kept, chosen by seed, of a larger vocabulary")
    solved: float = Field(
        0.8, gt=0, le=1, description="share of words the model must spell for latents to be ablated on them"
    )
