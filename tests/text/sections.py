"""Text sections for tests."""

from __future__ import annotations

from typing import Any

from pipeline.text.section import EmbeddedText

SMALL = {
    "source": "embedded", "context_length": 32, "train_contexts": 20, "validation_contexts": 4,
    "test_contexts": 6, "seed": 3, "pseudo_words": 120, "min_words_per_letter": 5,
}  # fmt: skip


def embedded(**changes: Any) -> EmbeddedText:
    return EmbeddedText.parse({**SMALL, **changes}, "text")
