from __future__ import annotations

from itertools import islice
from pathlib import Path

from transformers import AutoTokenizer

from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.embedded.vocabulary import vocabulary
from tests.text.sections import embedded


def test_saved_and_reloaded_is_identical(tmp_path: Path) -> None:
    built = embedded_tokenizer(embedded())
    built.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.backend_tokenizer.to_str() == built.backend_tokenizer.to_str()
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
        assert getattr(loaded, name) == getattr(built, name)
    text = "words has the first letter : W \n unseenword"
    assert loaded(text)["input_ids"] == built(text)["input_ids"]


def test_generated_ids_are_the_tokenizer_s() -> None:
    section = embedded()
    tokenizer, tokens = embedded_tokenizer(section), vocabulary(section).tokens
    for document in islice(documents(section, "x", 0.2), 300):
        text = " ".join(tokens[index] for index in document.ids)
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == document.ids
        assert tokenizer.decode(document.ids) == text


def test_bos_is_prepended_and_unknown_words_are_unk() -> None:
    tokenizer = embedded_tokenizer(embedded())
    ids = tokenizer("the qqq.")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<bos>", "the", "<unk>", "."]


def test_line_feeds_and_punctuation_need_no_blanks() -> None:
    tokenizer = embedded_tokenizer(embedded())
    ids = tokenizer("first letter:L\nthe", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["first", "letter", ":", "L", "\n", "the"]
