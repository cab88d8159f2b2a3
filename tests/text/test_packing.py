from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.packing import pack

BOS = 0
DOCUMENTS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=30), max_size=12)


def naive(documents: list[list[int]], width: int) -> tuple[list[int], list[int]]:
    """One token at a time."""
    tokens: list[int] = []
    owners: list[int] = []
    for number, document in enumerate(documents):
        for index, token in enumerate(document):
            if index == 0 or len(tokens) % width == 0:
                tokens.append(BOS)
                owners.append(number)
                if len(tokens) % width == 0:  # the BOS took the last place: the row after needs its own
                    tokens.append(BOS)
                    owners.append(number)
            tokens.append(token)
            owners.append(number)
    return tokens, owners


@given(DOCUMENTS, st.integers(2, 9))
def test_packing_is_the_naive_packing(documents: list[list[int]], width: int) -> None:
    packed = pack(enumerate(documents), BOS, width)
    tokens, owners = naive(documents, width)
    rows = len(tokens) // width
    assert packed.tokens.shape == (rows, width)
    assert packed.tokens.ravel().tolist() == tokens[: rows * width]
    assert packed.document.ravel().tolist() == owners[: rows * width]
    for token, owner, place in zip(
        packed.tokens.ravel(), packed.document.ravel(), packed.place.ravel(), strict=True
    ):
        assert token == (BOS if place == -1 else documents[owner][place])


@given(DOCUMENTS, st.integers(2, 9))
def test_rows_begin_with_bos_and_no_token_is_lost_or_moved(documents: list[list[int]], width: int) -> None:
    packed = pack(enumerate(documents), BOS, width)
    assert (packed.tokens[:, 0] == BOS).all()
    assert (np.diff(packed.document.ravel()) >= 0).all()
    kept = packed.tokens.ravel()
    text = kept[kept != BOS]
    assert text.tolist() == [token for document in documents for token in document][: len(text)]
    for number, document in enumerate(documents):
        mine = kept[(packed.document.ravel() == number) & (kept != BOS)]
        assert mine.tolist() == document[: len(mine)]


@given(DOCUMENTS, st.integers(2, 9), st.integers(0, 4))
def test_a_limit_gives_the_same_rows_and_reads_no_further(
    documents: list[list[int]], width: int, contexts: int
) -> None:
    read: list[int] = []

    def source() -> Iterator[tuple[int, list[int]]]:
        for number, document in enumerate(documents):
            read.append(number)
            yield number, document

    full = pack(enumerate(documents), BOS, width)
    cut = pack(source(), BOS, width, contexts)
    assert cut.tokens.tolist() == full.tokens[:contexts].tolist()
    if full.contexts > contexts > 0:
        assert cut.contexts == contexts
        needed = full.document[contexts - 1, -1]
        assert len(read) == needed + 1
