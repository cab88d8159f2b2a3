"""The corpus: a source's documents, encoded, split by document and packed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.console.errors import BadInput
from pipeline.text.contexts import SPLITS
from pipeline.text.embedded.fields import fields, labels
from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.writer import Document
from pipeline.text.encode import encode
from pipeline.text.packing import Packed, pack
from pipeline.text.section import EmbeddedText, HubText, LocalText, TextSection
from pipeline.text.states import Field

FILL_ORDER = ("test", "validation", "train")
"""Filled in this order, so that asking for more training contexts leaves test and validation unchanged."""
SHARES = {"test": 0.10, "validation": 0.05, "train": 0.85}
"""Shares of the tokens when the section asks for no counts."""

Numbered = tuple[int, Sequence[int]]


@dataclass(frozen=True)
class Corpus:
    """Packed splits; `documents` has one row (document, split, kind, if known) per document in them.

    `states`: the labels' fields and, by split, the labels (C, T, S); None for text without any.
    """

    splits: dict[str, Packed]
    documents: list[dict[str, str | int]]
    states: tuple[list[Field], dict[str, npt.NDArray[np.int16]]] | None = None


def build(
    section: TextSection, tokenizer: Any, bos: int, path: Path, watch: Callable[[int], None] = lambda _: None
) -> Corpus:
    """The corpus of `section`; `path` is the local text; `watch` is told the tokens of each document read.

    Raises BadInput when there is too little text.
    """
    if isinstance(section, EmbeddedText):
        return _embedded(section, bos, watch)
    if isinstance(section, HubText):
        from pipeline.text.hub import hub_texts

        ids = _watched(encode(tokenizer, hub_texts(section)), watch)
        return _fill(ids, section, bos, f"Dataset {section.name}")
    from pipeline.text.local import read_documents

    texts = read_documents(path, section.document_words)
    Random(section.seed).shuffle(texts)
    ids = _watched(encode(tokenizer, texts), watch)
    if section.train_contexts is None:
        return _share_out(list(ids), section, bos, str(path))
    return _fill(ids, section, bos, str(path))


def _watched(documents: Iterator[list[int]], watch: Callable[[int], None]) -> Iterator[list[int]]:
    for ids in documents:
        watch(len(ids))
        yield ids


def _counts(section: TextSection) -> dict[str, int]:
    counts = (section.train_contexts, section.validation_contexts, section.test_contexts)
    return {name: int(count or 0) for name, count in zip(SPLITS, counts, strict=True)}


def _embedded(section: EmbeddedText, bos: int, watch: Callable[[int], None]) -> Corpus:
    """One stream of fresh documents per split: generated until there are enough."""
    known, splits, rows, states = fields(section), {}, {}, {}
    for name, contexts in _counts(section).items():
        read: list[Document] = []
        stream = _listed(documents(section, f"corpus {name}", section.drill_share), read, watch)
        splits[name] = pack(stream, bos, section.context_length, contexts)
        rows[name] = [{"kind": document.kind} for document in read]
        states[name] = labels(splits[name], read, len(known))
    corpus = _corpus(splits, rows)
    return Corpus(corpus.splits, corpus.documents, (known, states))


def _listed(
    documents: Iterable[Document], read: list[Document], watch: Callable[[int], None]
) -> Iterator[Numbered]:
    """Numbered documents, each put down in `read`."""
    for index, document in enumerate(documents):
        read.append(document)
        watch(len(document.ids))
        yield index, document.ids


def _fill(ids: Iterator[list[int]], section: HubText | LocalText, bos: int, where: str) -> Corpus:
    """Take documents in order until each split has the contexts it asks for."""
    counts = _counts(section)
    splits = {name: pack(enumerate(ids), bos, section.context_length, counts[name]) for name in FILL_ORDER}
    filled = sum(split.contexts for split in splits.values())
    if filled < sum(counts.values()):
        raise BadInput(
            f"{where} gives {filled:,} contexts of {section.context_length} tokens, but the text section "
            f"asks for {sum(counts.values()):,}: ask for fewer or give more text."
        )
    return _corpus(splits)


def _share_out(ids: list[list[int]], section: LocalText, bos: int, where: str) -> Corpus:
    """All the documents, split by SHARES of their tokens."""
    total = sum(len(document) for document in ids)
    splits, start, seen, goal = {}, 0, 0, 0.0
    for name in FILL_ORDER:
        goal += SHARES[name] * total
        stop = start
        while stop < len(ids) and (seen < goal or name == "train"):
            seen += len(ids[stop])
            stop += 1
        splits[name] = pack(enumerate(ids[start:stop]), bos, section.context_length)
        start = stop
    empty = [name for name in SPLITS if not splits[name].contexts]
    if empty:
        raise BadInput(
            f"{where} gives {total:,} tokens in {len(ids)} documents: too little for a "
            f"{' and a '.join(empty)} context of {section.context_length} tokens; give more text."
        )
    return _corpus(splits)


def _corpus(splits: dict[str, Packed], labels: Mapping[str, list[dict[str, str]]] | None = None) -> Corpus:
    """Number the documents of all splits in one sequence, train first; list those that lie in a context."""
    placed, rows, offset = {}, [], 0
    for name in SPLITS:
        packed = splits[name]
        used = np.unique(packed.document).tolist()
        for index in used:
            known = labels[name][index] if labels else {}
            rows.append({"document": offset + index, "split": name, **known})
        placed[name] = Packed(packed.tokens, packed.document + np.int32(offset), packed.place)
        offset += used[-1] + 1 if used else 0
    return Corpus(placed, rows)


def columns(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """Every column of `rows`, document and split first."""
    return list(dict.fromkeys(["document", "split", *(key for row in rows for key in row)]))
