from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.console.errors import BadInput
from pipeline.text.corpus import Corpus, build, columns
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.section import TextSection, parse_text
from tests.text.sections import embedded

NOWHERE = Path("none")
TOKENIZER = embedded_tokenizer(embedded())
BOS = 1


def local(**changes: Any) -> TextSection:
    return parse_text(
        {"source": "local", "context_length": 16, "seed": 0, "document_words": 1, **changes}, "t"
    )


def book(path: Path, documents: int, words: int = 20) -> Path:
    """Documents that can be told apart: document i repeats its own word."""
    own = [TOKENIZER.convert_ids_to_tokens(60 + i) for i in range(documents)]
    path.write_text("\n\n".join(" ".join([word] * words) for word in own), encoding="utf-8")
    return path


def check_splits(corpus: Corpus) -> None:
    """Every document in one split, ids in order of the splits, listed exactly when they occur."""
    seen = {name: set(split.document.ravel().tolist()) for name, split in corpus.splits.items()}
    assert not seen["train"] & seen["validation"]
    assert not (seen["train"] | seen["validation"]) & seen["test"]
    assert max(seen["train"]) < min(seen["validation"])
    assert max(seen["validation"]) < min(seen["test"])
    listed = {row["document"]: row["split"] for row in corpus.documents}
    assert listed == {each: name for name, found in seen.items() for each in found}


def test_embedded_gives_what_is_asked_with_labels() -> None:
    corpus = build(embedded(), TOKENIZER, BOS, NOWHERE)
    shapes = {name: split.tokens.shape for name, split in corpus.splits.items()}
    assert shapes == {"train": (20, 32), "validation": (4, 32), "test": (6, 32)}
    check_splits(corpus)
    assert set(columns(corpus.documents)) == {"document", "split", "kind"}


def test_more_training_text_leaves_the_other_splits_unchanged(tmp_path: Path) -> None:
    path = book(tmp_path / "a.txt", 40)
    counts = {"validation_contexts": 2, "test_contexts": 3}
    pairs = [
        [build(embedded(train_contexts=n), TOKENIZER, BOS, NOWHERE) for n in (20, 25)],
        [build(local(train_contexts=n, **counts), TOKENIZER, BOS, path) for n in (5, 9)],
    ]
    for few, many in pairs:
        for name in ("validation", "test"):
            assert np.array_equal(few.splits[name].tokens, many.splits[name].tokens)
        assert few.splits["train"].contexts < many.splits["train"].contexts


def test_local_with_counts(tmp_path: Path) -> None:
    path = book(tmp_path / "a.txt", 30)
    corpus = build(local(train_contexts=8, validation_contexts=2, test_contexts=3), TOKENIZER, BOS, path)
    assert {name: split.contexts for name, split in corpus.splits.items()} == {
        "train": 8, "validation": 2, "test": 3,
    }  # fmt: skip
    check_splits(corpus)
    words = {name: set(np.unique(split.tokens).tolist()) - {BOS} for name, split in corpus.splits.items()}
    assert not words["train"] & words["test"]


def test_local_without_counts_uses_all_of_it_in_proportion(tmp_path: Path) -> None:
    corpus = build(local(), TOKENIZER, BOS, book(tmp_path / "a.txt", 100))
    check_splits(corpus)
    tokens = {name: split.tokens.size for name, split in corpus.splits.items()}
    whole = 100 * 22  # 20 words, a BOS before and one where a row begins
    assert tokens["train"] == pytest.approx(0.85 * whole, rel=0.05)
    assert tokens["validation"] == pytest.approx(0.05 * whole, abs=30)
    assert tokens["test"] == pytest.approx(0.10 * whole, abs=30)


def test_local_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    path = book(tmp_path / "a.txt", 30)
    found = [build(local(seed=seed), TOKENIZER, BOS, path).splits["test"].tokens for seed in (0, 0, 1)]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_too_little_text_says_the_numbers(tmp_path: Path) -> None:
    path = book(tmp_path / "a.txt", 10)
    asked = local(train_contexts=50, validation_contexts=2, test_contexts=3)
    with pytest.raises(BadInput, match=r"gives 1\d contexts of 16 tokens, but the text section asks for 55"):
        build(asked, TOKENIZER, BOS, path)
    with pytest.raises(BadInput, match=r"gives 40 tokens in 2 documents"):
        build(local(), TOKENIZER, BOS, book(tmp_path / "b.txt", 2))


def test_reading_is_watched(tmp_path: Path) -> None:
    for section, path in ((embedded(), NOWHERE), (local(), book(tmp_path / "a.txt", 100))):
        seen: list[int] = []
        corpus = build(section, TOKENIZER, BOS, path, seen.append)
        packed = sum(int((split.tokens != BOS).sum()) for split in corpus.splits.values())
        assert sum(seen) >= packed
        assert len(seen) >= len(corpus.documents)
