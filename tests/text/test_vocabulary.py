from __future__ import annotations

from collections import Counter
from string import ascii_lowercase, ascii_uppercase

import pytest

from pipeline.text.embedded.invent import share_out
from pipeline.text.embedded.lexicon import DRILLS, MARKS, SPECIALS
from pipeline.text.embedded.vocabulary import class_sizes, vocabulary
from tests.text.sections import embedded


@pytest.mark.parametrize(("words", "least"), [(300, 5), (2900, 15), (800, 20)])
def test_every_letter_begins_enough_words(words: int, least: int) -> None:
    found = vocabulary(embedded(words=words, min_words_per_letter=least))
    counts = Counter(word[0] for word in found.words)
    assert sorted(counts) == list(ascii_lowercase)
    assert min(counts.values()) >= least
    assert len(found.words) == words


def test_tokens_are_unique_and_specials_come_first() -> None:
    tokens = vocabulary(embedded()).tokens
    assert len(set(tokens)) == len(tokens)
    assert tokens[: len(SPECIALS)] == SPECIALS


def test_a_word_belongs_to_one_class_which_has_its_size() -> None:
    section = embedded()
    classes = vocabulary(section).classes
    ids = [i for each in classes.values() for i in each]
    assert len(set(ids)) == len(ids)
    assert {name: len(classes[name]) for name in class_sizes(section)} == class_sizes(section)
    assert len(classes["verb"]) % section.tenses == 0


def test_every_token_with_a_spelling_of_its_own_is_drilled() -> None:
    found = vocabulary(embedded())
    rest = set(found.tokens) - set(found.words)
    assert rest == {*SPECIALS, *MARKS, *ascii_uppercase}
    assert set(DRILLS) <= set(found.words)


def test_only_vocabulary_parameters_change_the_vocabulary() -> None:
    base = vocabulary(embedded()).tokens
    assert vocabulary(embedded(train_contexts=99, contrast=0.5, drill_share=0.5)).tokens == base
    assert vocabulary(embedded(seed=4)).tokens != base


def test_share_out_gives_all_in_proportion() -> None:
    assert share_out(7, {"a": 1.0, "b": 1.0, "c": 2.0}) == {"a": 2, "b": 2, "c": 3}
    assert share_out(0, {"a": 1.0, "b": 3.0}) == {"a": 0, "b": 0}
