"""Text sections for tests."""

from __future__ import annotations

from typing import Any

from pipeline.text.section import EmbeddedText

SMALL = {
    "source": "embedded", "context_length": 32, "train_contexts": 20, "validation_contexts": 4,
    "test_contexts": 6, "seed": 3, "words": 300, "min_words_per_letter": 5, "languages": 2, "domains": 2,
    "sub_domains": 2, "registers": 2, "speakers": 2, "tenses": 2, "drill_share": 0.2,
}  # fmt: skip


def embedded(**changes: Any) -> EmbeddedText:
    return EmbeddedText.parse({**SMALL, **changes}, "text")
