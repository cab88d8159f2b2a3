"""Documents into rows of fixed length, each beginning with BOS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOS_PLACE = -1


@dataclass(frozen=True)
class Packed:
    """`tokens`, the `document` of each, and its `place` in it (-1: BOS), all (C, T) int32."""

    tokens: npt.NDArray[np.int32]
    document: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]

    @property
    def contexts(self) -> int:
        """C."""
        return len(self.tokens)


def pack(
    documents: Iterable[tuple[int, Sequence[int]]], bos: int, context_length: int, contexts: int | None = None
) -> Packed:
    """Join (document id, token ids) as `BOS document BOS document ...`, cut into rows of `context_length`.

    Every row begins with BOS: where the cut falls inside a document, its continuation gets one. A BOS
    belongs to the document that follows it. The last incomplete row is dropped. Stops at `contexts`
    rows and reads no document beyond the one that completes them; None reads all.
    """
    tokens: list[int] = []
    owners: list[int] = []
    places: list[int] = []
    end = None if contexts is None else contexts * context_length
    for document, ids in documents:
        _append(tokens, places, ids, bos, context_length)
        owners += [document] * (len(tokens) - len(owners))
        if end is not None and len(tokens) >= end:
            break
    whole = len(tokens) // context_length
    rows = whole if contexts is None else min(whole, contexts)
    return Packed(*(_rows(each, rows, context_length) for each in (tokens, owners, places)))


def _append(tokens: list[int], places: list[int], ids: Sequence[int], bos: int, context_length: int) -> None:
    """One document, a BOS before it and at every row that it runs into."""
    start = 0
    while start < len(ids):
        tokens.append(bos)
        room = -len(tokens) % context_length
        tokens += ids[start : start + room]
        places += [BOS_PLACE, *range(start, min(start + room, len(ids)))]
        start += room


def _rows(values: list[int], rows: int, width: int) -> npt.NDArray[np.int32]:
    return np.array(values[: rows * width], dtype=np.int32).reshape(rows, width)
