"""Labelled sets of the embedded source: fresh documents with one state held, from streams of their own."""

from __future__ import annotations

from random import Random

from pipeline.text.embedded.clock import slow_values
from pipeline.text.embedded.lexis import lexis
from pipeline.text.embedded.writer import Document, Writer
from pipeline.text.labelled import LabelledSet
from pipeline.text.section import EmbeddedText

LENGTHS = {"language": 12, "domain": 8, "sub_domain": 12, "register": 12, "speaker": 12, "tense": 8}
"""Tokens of a text, about: as many as leave each state below saturation and above chance (docs/model.md)."""
CLASSES = 4
"""Values of a state that a set asks for, the first ones."""


def embedded_sets(section: EmbeddedText, per_class: int, seed: int) -> list[LabelledSet]:
    """One set per slow state, exactly `per_class` texts per class; the other states go their own way."""
    return [_set(section, name, length, per_class, seed) for name, length in LENGTHS.items()]


def _set(section: EmbeddedText, name: str, length: int, per_class: int, seed: int) -> LabelledSet:
    pools = lexis(section)
    writer = Writer(pools, Random(f"labelled {name} {seed} {section.seed}"))
    classes = range(min(CLASSES, slow_values(section)[name]))
    order = [value for _ in range(per_class) for value in classes]
    texts = [_text(writer.text({name: value}, length), pools.vocabulary.tokens) for value in order]
    return LabelledSet(name, texts, [f"{name}-{value}" for value in order])


def _text(document: Document, tokens: list[str]) -> str:
    return " ".join(tokens[i] for i in document.ids)
