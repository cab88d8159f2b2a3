"""Endless streams of documents; the corpus and the model's training text are streams of different names."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pipeline.text.embedded.drills import Driller
from pipeline.text.embedded.grammar import Document, Writer
from pipeline.text.embedded.lexis import lexis
from pipeline.text.section import EmbeddedText

ARTICLE_SHARE = 0.6
"""Articles among the documents that are not drills; the rest are biographies."""


def documents(section: EmbeddedText, stream: str) -> Iterator[Document]:
    """The documents of `stream` (any name), a pure function of the section and the name."""
    pools, rng = lexis(section), Random(f"{stream} {section.seed}")
    writer, driller = Writer(pools, rng), Driller(pools, rng)
    while True:
        if rng.random() < section.drill_share:
            yield driller.drill()
        elif rng.random() < ARTICLE_SHARE:
            yield writer.article()
        else:
            yield writer.biography()
