"""Endless streams of documents; the corpus and the model's training text are streams of different names."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pipeline.text.embedded.drills import Driller
from pipeline.text.embedded.lexis import lexis
from pipeline.text.embedded.writer import Document, Writer
from pipeline.text.section import EmbeddedText

LIKE_A_TEXT = 3.0
"""A text has about so many times the tokens of a drill."""


def documents(section: EmbeddedText, stream: str, drill_share: float) -> Iterator[Document]:
    """The documents of `stream` (any name); drills have `drill_share` of the tokens, about.

    A pure function of the section, the name and the share.
    """
    pools, rng = lexis(section), Random(f"{stream} {section.seed}")
    writer, driller = Writer(pools, rng), Driller(pools.vocabulary, rng)
    share = drill_share * LIKE_A_TEXT / (1 + drill_share * (LIKE_A_TEXT - 1))
    while True:
        yield driller.drill() if rng.random() < share else writer.text()
