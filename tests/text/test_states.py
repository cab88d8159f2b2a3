"""Labels of tokens: written beside the tokens, aligned with them, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.console.errors import BadInput
from pipeline.text.contexts import open_tokens, write_tokens
from pipeline.text.corpus import Corpus, build
from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.states import Field, States, read_states
from tests.text.sections import embedded

BOS = 1
ABOUT = {"special_ids": [0, 1], "bos_id": 1, "vocab_size": 999, "tokenizer_hash": "ab", "source": "embedded"}
SECTION = embedded()


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build(SECTION, embedded_tokenizer(SECTION), BOS, Path("none"))


@pytest.fixture
def stored(corpus: Corpus, tmp_path: Path) -> Path:
    write_tokens(tmp_path / "t", corpus.splits, ABOUT, corpus.states)
    return tmp_path / "t"


def test_labels_are_those_of_each_token_s_document(corpus: Corpus, stored: Path) -> None:
    found, tokens = read_states(stored), open_tokens(stored)
    assert found is not None
    streams = {name: documents(SECTION, f"corpus {name}", SECTION.drill_share) for name in tokens.splits}
    for name, (start, stop) in tokens.splits.items():
        first = int(tokens.document[start:stop].min())
        ids, rows = tokens.tokens[start:stop].ravel(), found.values[start:stop].reshape(-1, 9)
        owner = tokens.document[start:stop].ravel() - first
        for number in range(int(owner.max()) + 1):
            document = next(streams[name])
            mine = (owner == number) & (ids != BOS)
            assert ids[mine].tolist() == document.ids[: mine.sum()]
            expected = document.states or [(-1,) * 9] * len(document.ids)
            assert rows[mine].tolist() == [list(row) for row in expected[: mine.sum()]]
        assert (rows[ids == BOS] == -1).all()


def test_a_split_s_rows(stored: Path) -> None:
    whole, test = read_states(stored), read_states(stored, "test")
    assert whole is not None
    assert test is not None
    assert np.array_equal(whole.values[24:30], test.values)
    assert whole.values.dtype == np.int16


def test_fields_and_columns(stored: Path) -> None:
    found = read_states(stored)
    assert found is not None
    assert [field.name for field in found.slow] == [
        "language", "domain", "sub_domain", "register", "speaker", "tense"
    ]  # fmt: skip
    child = found.field("sub_domain")
    assert (child.parent, child.values, found.field("domain").values) == ("domain", 4, 2)
    labelled = found.of("sub_domain") >= 0
    assert (found.of("sub_domain")[labelled] // 2 == found.of("domain")[labelled]).all()


def test_text_without_labels_has_none(corpus: Corpus, tmp_path: Path) -> None:
    write_tokens(tmp_path / "t", corpus.splits, ABOUT)
    assert read_states(tmp_path / "t") is None


def test_missing_chunks_and_other_versions_are_refused(stored: Path) -> None:
    zarr.open_group(stored).attrs["states_version"] = 7
    with pytest.raises(BadInput, match="not version 1"):
        read_states(stored)
    zarr.open_group(stored).attrs["states_version"] = 1
    next((stored / "states").glob("c.*")).unlink()
    with pytest.raises(BadInput, match="incomplete"):
        read_states(stored)


def test_states_are_plain_data() -> None:
    made = States([Field("a", 2, "slow")], np.array([[[0], [1]]], dtype=np.int16))
    assert made.of("a").tolist() == [[0, 1]]
