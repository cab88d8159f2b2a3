"""The hub source over a local dataset: `datasets` streams CSV and Parquet files through the same code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from pipeline.console.errors import BadInput
from pipeline.text import hub
from pipeline.text.corpus import build
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.section import HubText, LabelledDataset
from tests.text.sections import embedded

SECTION = HubText(
    source="hub", name="some/text", revision="abc1234", text_column="body", context_length=16,
    train_contexts=3, validation_contexts=1, test_contexts=2,
)  # fmt: skip
SPEC = LabelledDataset(name="some/moods", revision="abc1234", label_column="mood")
Serve = Callable[[dict[str, list[Any]]], list[tuple[Any, ...]]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Let load_dataset give these columns; returns the list of its calls."""

    def install(columns: dict[str, list[Any]]) -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []

        def load_dataset(name: str, config: str | None, **named: Any) -> Any:
            calls.append((name, config, named))
            return datasets.Dataset.from_dict(columns).to_iterable_dataset()

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return calls

    return install


def test_texts_are_streamed_at_the_pinned_commit(serve: Serve) -> None:
    calls = serve({"body": ["the a", "lantern"], "other": [1, 2]})
    assert list(hub.hub_texts(SECTION)) == ["the a", "lantern"]
    assert calls == [("some/text", None, {"revision": "abc1234", "split": "train", "streaming": True})]


def test_corpus_from_the_hub(serve: Serve) -> None:
    serve({"body": [f"{word} " * 30 for word in ("lantern", "tiger", "wolf", "boat", "sail", "oak")]})
    corpus = build(SECTION, embedded_tokenizer(embedded()), 1, Path("none"))
    assert {k: v.contexts for k, v in corpus.splits.items()} == {"train": 3, "validation": 1, "test": 2}
    serve({"body": ["lantern " * 30]})
    with pytest.raises(BadInput, match=r"Dataset some/text gives 2 contexts .* asks for 6"):
        build(SECTION, embedded_tokenizer(embedded()), 1, Path("none"))


def test_labelled_sets(serve: Serve) -> None:
    serve({"text": [f"t{i}" for i in range(60)], "mood": [i // 30 for i in range(60)]})  # sorted by label
    (found,) = hub.hub_sets([SPEC], per_class=5, seed=0)
    assert found.name == "moods-mood"
    assert Counter(found.labels) == {"0": 5, "1": 5}
    assert all(
        int(text[1:]) // 30 == int(label) for text, label in zip(found.texts, found.labels, strict=True)
    )
    assert hub.hub_sets([SPEC], 5, 0) == [found]


def test_a_column_that_is_not_there(serve: Serve) -> None:
    serve({"content": ["x"]})
    with pytest.raises(BadInput, match=r"no column `body` \(it has content\)"):
        list(hub.hub_texts(SECTION))


def test_a_dataset_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'some/text' doesn't exist on the Hub.\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(BadInput, match="some/text") as caught:
        list(hub.hub_texts(SECTION))
    assert "\n" not in str(caught.value)
