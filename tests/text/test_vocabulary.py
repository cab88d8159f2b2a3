from __future__ import annotations

from collections import Counter
from string import ascii_lowercase, ascii_uppercase

import pytest

from pipeline.text.embedded.invent import share_out
from pipeline.text.embedded.vocabulary import SPECIALS, vocabulary
from tests.text.sections import embedded


@pytest.mark.parametrize(("pseudo", "least"), [(0, 5), (500, 12), (60, 20)])
def test_every_letter_begins_enough_words(pseudo: int, least: int) -> None:
    found = vocabulary(embedded(pseudo_words=pseudo, min_words_per_letter=least))
    counts = Counter(word[0].lower() for word in found.words)
    assert sorted(counts) == list(ascii_lowercase)
    assert min(counts.values()) >= least


def test_tokens_are_unique_and_specials_come_first() -> None:
    tokens = vocabulary(embedded()).tokens
    assert len(set(tokens)) == len(tokens)
    assert tokens[: len(SPECIALS)] == SPECIALS


def test_a_word_belongs_to_one_pool_at_most() -> None:
    pools = vocabulary(embedded()).pools
    counts = Counter(word for parts in pools.values() for words in parts.values() for word in words)
    assert set(counts.values()) == {1}


def test_every_token_with_a_spelling_of_its_own_is_drilled() -> None:
    found = vocabulary(embedded())
    rest = set(found.tokens) - set(found.words)
    assert rest == {*SPECIALS, *"\n.,:;", *ascii_uppercase}
    assert {"the", "Anna", "lantern", "letter", "she", "den"} <= set(found.words)


def test_only_vocabulary_parameters_change_the_vocabulary() -> None:
    base = vocabulary(embedded()).tokens
    assert vocabulary(embedded(train_contexts=99, topic_noise=0.9, drill_share=0.5)).tokens == base
    assert vocabulary(embedded(seed=4)).tokens != base


def test_share_out_gives_all_in_proportion() -> None:
    assert share_out(7, {"a": 1.0, "b": 1.0, "c": 2.0}) == {"a": 2, "b": 2, "c": 3}
    assert share_out(0, {"a": 1.0, "b": 3.0}) == {"a": 0, "b": 0}
