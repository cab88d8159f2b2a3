"""How many prompts or texts go through the language model at once."""

from __future__ import annotations

from collections.abc import Sequence

BATCH_TOKENS = 8192
"""Tokens per forward pass, padding included."""


def batched(rows: int, length: int) -> Sequence[slice]:
    """Slices of `rows` prompts of `length` tokens that fit a forward pass."""
    size = max(BATCH_TOKENS // length, 1)
    return [slice(start, start + size) for start in range(0, rows, size)]
