"""Packed contexts of one stream of embedded documents."""

from __future__ import annotations

from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.packing import Packed, pack
from pipeline.text.section import EmbeddedText


def contexts(section: EmbeddedText, stream: str, count: int) -> Packed:
    """The first `count` contexts of `stream`."""
    numbered = enumerate(document.ids for document in documents(section, stream))
    return pack(numbered, vocabulary(section).ids["<bos>"], section.context_length, count)
