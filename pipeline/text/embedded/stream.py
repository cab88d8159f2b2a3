"""Packed contexts of one stream of embedded documents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as numbers

import numpy as np
import numpy.typing as npt

from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.packing import pack
from pipeline.text.section import EmbeddedText

BLOCK = 64
"""Contexts packed at once; the end of a block's last document is left out."""


def contexts(section: EmbeddedText, stream: str, drill_share: float) -> Iterator[npt.NDArray[np.int32]]:
    """The contexts (T,) of `stream`, without end."""
    bos, width = vocabulary(section).ids["<bos>"], section.context_length
    source = zip(numbers(), (each.ids for each in documents(section, stream, drill_share)), strict=False)
    while True:
        yield from pack(source, bos, width, BLOCK).tokens
