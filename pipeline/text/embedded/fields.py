"""Which labels the embedded text has, and the labels of packed contexts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.text.embedded import lexicon
from pipeline.text.embedded.clock import slow_values
from pipeline.text.embedded.writer import Document
from pipeline.text.packing import Packed
from pipeline.text.section import EmbeddedText
from pipeline.text.states import NONE, Field


def fields(section: EmbeddedText) -> list[Field]:
    """One per column of `Document.states`."""
    parents = {"sub_domain": "domain"}
    slow = [Field(name, count, "slow", parents.get(name)) for name, count in slow_values(section).items()]
    return [
        *slow,
        Field("word_class", len(lexicon.WORD_CLASSES), "token"),
        Field("noun_kind", lexicon.KINDS, "token"),
        Field("noun_sub_kind", lexicon.KINDS * lexicon.SUB_KINDS, "token", "noun_kind"),
    ]


def labels(packed: Packed, documents: list[Document], count: int) -> npt.NDArray[np.int16]:
    """(C, T, `count`): the states of every token; `packed.document` numbers `documents`."""
    first = np.cumsum([0, *(len(document.ids) for document in documents)])
    table = np.concatenate([_rows(document, count) for document in documents])
    found = table[first[packed.document] + np.maximum(packed.place, 0)]
    found[packed.place < 0] = NONE
    return found


def _rows(document: Document, count: int) -> npt.NDArray[np.int16]:
    if not document.states:
        return np.full((len(document.ids), count), NONE, dtype=np.int16)
    return np.array(document.states, dtype=np.int16)
