"""Labelled sets of the embedded source: fresh documents from streams that nothing else reads."""

from __future__ import annotations

from random import Random

from pipeline.text.embedded.grammar import Document, Writer
from pipeline.text.embedded.lexis import GENDERS, LANGUAGES, SENTIMENTS, TOPICS, TRADES, lexis
from pipeline.text.labelled import LabelledSet
from pipeline.text.section import EmbeddedText

TASKS = {
    "topic": ("article", TOPICS),
    "sentiment": ("article", SENTIMENTS),
    "profession": ("biography", TRADES),
    "gender": ("biography", GENDERS),
    "language": ("article", LANGUAGES),
}
"""Set name to (kind of document, classes)."""


def embedded_sets(section: EmbeddedText, per_class: int, seed: int) -> list[LabelledSet]:
    """The five sets, exactly `per_class` texts per class."""
    pools = lexis(section)
    tokens = pools.vocabulary.tokens
    sets = []
    for name, (kind, classes) in TASKS.items():
        writer = Writer(pools, Random(f"labelled {name} {seed} {section.seed}"))
        kept = _balanced(writer, kind, name, classes, per_class)
        texts = [" ".join(tokens[i] for i in document.ids) for document in kept]
        sets.append(LabelledSet(name, texts, [document.labels[name] for document in kept]))
    return sets


def _balanced(writer: Writer, kind: str, name: str, classes: list[str], per_class: int) -> list[Document]:
    kept: list[Document] = []
    left = dict.fromkeys(classes, per_class)
    while any(left.values()):
        document = writer.article() if kind == "article" else writer.biography()
        if left[document.labels[name]]:
            left[document.labels[name]] -= 1
            kept.append(document)
    return kept
