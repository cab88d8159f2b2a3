"""Texts into token ids, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

BATCH = 256
"""Texts encoded at once."""


def encode(tokenizer: Any, texts: Iterable[str]) -> Iterator[list[int]]:
    """Token ids of each text, no specials added; texts without a token are left out."""
    source = iter(texts)
    while batch := list(islice(source, BATCH)):
        for ids in tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]:
            if ids:
                yield ids
