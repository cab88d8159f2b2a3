from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.lm.core.resolved import read_resolved
from pipeline.lm.core.tokenizer import load_tokenizer, tokenizer_sha256
from pipeline.stages import model
from pipeline.stages.common.files import LM
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from tests.lm.test_embedded import TINY
from tests.stages.test_corpus import content, write_params
from tests.text.sections import SMALL, embedded


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_embedded_model_is_trained_saved_and_reloaded() -> None:
    from transformers import AutoModelForCausalLM

    write_params(SMALL, {**TINY, "gate": 0.0})
    model.run()
    report = json.loads((LM / "report.json").read_text())
    assert report["steps"] == 12
    assert 0 <= report["first_letter_accuracy"] < 0.5  # twelve steps teach no letters
    assert 3 < report["held_out_cross_entropy"] < 8
    resolved = read_resolved(LM)
    assert (resolved.source, resolved.architecture, resolved.d, resolved.layers) == (
        "embedded",
        "gemma2",
        16,
        2,
    )
    built = embedded_tokenizer(embedded())
    assert resolved.tokenizer_sha256 == tokenizer_sha256(built) == tokenizer_sha256(load_tokenizer(LM))
    loaded = AutoModelForCausalLM.from_pretrained(LM, attn_implementation="eager")
    assert loaded.config.vocab_size == len(built)


def test_same_params_same_bytes_and_another_seed_another_model() -> None:
    found = []
    for seed in (0, 0, 1):
        write_params(SMALL, {**TINY, "seed": seed, "gate": 0.0})
        model.run()
        found.append(content(LM))
    assert found[0] == found[1]
    assert found[0]["model.safetensors"] != found[2]["model.safetensors"]


def test_a_failed_gate_is_one_sentence_and_leaves_nothing() -> None:
    write_params(SMALL, {**TINY, "gate": 0.9})
    with pytest.raises(
        BadInput, match=r"first letters of held-out words after block 0, less than `model\.gate`"
    ):
        model.run()
    assert not LM.exists()


def test_embedded_model_needs_embedded_text() -> None:
    write_params({"source": "local", "context_length": 16, "seed": 0}, TINY)
    with pytest.raises(BadInput, match="embedded text only"):
        model.run()


def test_other_sources_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(model, "resolve_local", lambda *given: calls.append(given))
    monkeypatch.setattr(model, "resolve_hub", lambda *given: calls.append(given))
    write_params(SMALL, {"source": "local"}, model="my/model")
    model.run()
    write_params(SMALL, {"source": "hub", "name": "a/b", "revision": "c"})
    model.run()
    assert calls == [(Path("my/model"), LM), ("a/b", "c", LM)]
