from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.console.errors import BadInput
from pipeline.stages import corpus
from pipeline.stages.common.files import TOKENS
from pipeline.text.contexts import open_tokens
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.states import read_states
from tests.text.sections import SMALL, embedded

MODEL = {"source": "embedded", "seed": 0}
LOCAL = {"source": "local", "context_length": 16, "seed": 0, "document_words": 5}


def write_params(source: dict[str, Any], section: dict[str, Any] | None = None, **inputs: str) -> None:
    """params.yaml of the current folder."""
    Path("data").mkdir(exist_ok=True)
    Path("data/none").write_text("No input file\n")
    unused = {"model": "data/none", "text": "data/none", "labels": "data/none"}
    profile = {"compute": {"device": "cpu", "threads": 1}, "text": source, "model": section or MODEL}
    tree = {"profile": "p", "inputs": {**unused, **inputs}, "profiles": {"p": profile}}
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(tree, file)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_embedded_corpus() -> None:
    write_params(SMALL)
    corpus.run()
    tokens = open_tokens(TOKENS)
    tokenizer = embedded_tokenizer(embedded())
    assert tokens.splits == {"train": (0, 20), "validation": (20, 24), "test": (24, 30)}
    assert tokens.vocab_size == len(tokenizer) > tokens.tokens.max()
    assert (tokens.special_ids, tokens.bos_id, tokens.source) == ([0, 1, 2], 1, "embedded")
    assert (tokens.tokens[:, 0] == 1).all()
    assert not np.isin(tokens.tokens, [0, 2, 3]).any()  # neither padding nor unknown words
    with (TOKENS / "documents.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [int(row["document"]) for row in rows] == np.unique(tokens.document).tolist()
    assert {row["kind"] for row in rows} == {"text", "drill"}
    labels = read_states(TOKENS)
    assert labels is not None
    assert labels.values.shape[:2] == tokens.tokens.shape
    assert (labels.of("domain")[tokens.tokens == 1] == -1).all()
    assert set(np.unique(labels.of("domain"))) == {-1, 0, 1}


def test_same_params_same_bytes() -> None:
    write_params(SMALL)
    corpus.run()
    first = content(TOKENS)
    corpus.run()
    assert content(TOKENS) == first


def local_model(folder: Path) -> str:
    folder.mkdir()
    embedded_tokenizer(embedded()).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "gemma2"}')
    return str(folder)


def test_local_corpus_uses_the_model_s_tokenizer(tmp_path: Path) -> None:
    known = vocabulary(embedded()).words[:3]
    text = "\n\n".join(f"the first {word} ." for word in known * 40)
    Path("mine.txt").write_text(text)
    write_params(LOCAL, {"source": "local"}, model=local_model(tmp_path / "m"), text="mine.txt")
    corpus.run()
    tokens = open_tokens(TOKENS)
    words = embedded_tokenizer(embedded()).convert_ids_to_tokens(np.unique(tokens.tokens).tolist())
    assert set(words) == {"<bos>", "\n", "the", "first", ".", *known}
    assert read_states(TOKENS) is None
    assert tokens.source == "local"
    assert (TOKENS / "documents.tsv").read_text().splitlines()[0] == "document\tsplit"


def test_bad_inputs_leave_nothing(tmp_path: Path) -> None:
    model = local_model(tmp_path / "m")
    Path("short.txt").write_text("the first")
    cases = [
        (LOCAL, {"source": "local"}, {"model": model}, r"inputs\.text"),
        (LOCAL, {"source": "local"}, {"model": model, "text": "short.txt"}, "too little"),
        (LOCAL, {"source": "local"}, {"text": "short.txt"}, "tokenizer"),
        (LOCAL, MODEL, {"text": "short.txt"}, "embedded model reads embedded text only"),
        ({**SMALL, "seeed": 1}, MODEL, {}, r"profiles\.p\.text\.seeed"),
    ]
    for source, section, inputs, message in cases:
        write_params(source, section, **inputs)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=message):
            corpus.run()
        assert not TOKENS.exists()
