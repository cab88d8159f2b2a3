from __future__ import annotations

import re
from collections import Counter
from itertools import islice

import pytest
from pipeline.text.embedded.grammar import Document

from pipeline.text.embedded import lexicon
from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.lexis import lexis
from pipeline.text.embedded.vocabulary import vocabulary
from tests.text.sections import embedded

BASE = embedded()
QUIET = embedded(
    topic_noise=0.0, sentiment_noise=0.0, biography_noise=0.0, gender_noise=0.0, language_noise=0.0
)


def words(document: Document) -> list[str]:
    tokens = vocabulary(BASE).tokens
    return [tokens[index] for index in document.ids]


def take(count: int, stream: str = "x", section: object = BASE) -> list[Document]:
    return list(islice(documents(section, stream), count))  # type: ignore[arg-type]


def test_streams_are_reproducible_and_differ_by_name_and_seed() -> None:
    assert take(50) == take(50)
    assert take(50) != take(50, "y")
    assert take(50) != take(50, section=embedded(seed=4))


def test_drill_share_is_met() -> None:
    kinds = Counter(document.kind for document in take(4000))
    assert kinds["drill"] / 4000 == pytest.approx(BASE.drill_share, abs=0.03)  # 4.5 standard errors
    assert set(kinds) == {"drill", "article", "biography"}


def test_no_drills_when_their_share_is_zero() -> None:
    assert all(document.kind != "drill" for document in take(300, section=embedded(drill_share=0.0)))


def test_labels_by_kind() -> None:
    expected = {"drill": set(), "article": {"topic", "sentiment", "language"}}
    expected["biography"] = {"profession", "gender", "language"}
    for document in take(200):
        assert set(document.labels) == expected[document.kind]


def test_without_noise_the_words_are_the_label_s() -> None:
    evaluations = {key: set(text.split()) for key, text in lexicon.EVALUATIONS.items()}
    pronouns = {key: set(text.split()) for key, text in lexicon.PRONOUNS.items()}
    languages = {key: set(text.split()) for key, text in lexicon.LANGUAGES.items()}
    for document in take(400, section=QUIET):
        found = set(words(document))
        for label, groups in (("sentiment", evaluations), ("gender", pronouns), ("language", languages)):
            if label in document.labels:
                own = document.labels[label]
                assert not any(found & group for key, group in groups.items() if key != own)


def test_full_noise_carries_no_gender() -> None:
    counts: Counter[tuple[str, bool]] = Counter()
    for document in take(6000, section=embedded(gender_noise=1.0, drill_share=0.0)):
        if document.kind == "biography":
            counts[document.labels["gender"], "she" in words(document)] += 1
    share = {g: counts[g, True] / (counts[g, True] + counts[g, False]) for g in ("female", "male")}
    assert share["female"] == pytest.approx(share["male"], abs=0.07)


def drill_texts(dense: float) -> list[str]:
    found = take(600, section=embedded(drill_share=0.99, dense_share=dense))
    return [" ".join(words(document)) for document in found if document.kind == "drill"]


def test_dense_drills_pair_each_word_with_its_letter() -> None:
    for text in drill_texts(1.0):
        assert re.fullmatch(r"first letter :( \w+ [A-Z] ,){8,19}", text)
        assert all(word[0].upper() == letter for word, letter in re.findall(r"(\w+) ([A-Z]) ,", text))


def test_other_drills_spell_correctly() -> None:
    kinds: Counter[str] = Counter()
    for text in drill_texts(0.0):
        if "\n" not in text:
            kinds["list"] += 1
            assert len({word[0].lower() for word in text.replace(" :", "").split()}) == 1
            continue
        for line in filter(None, map(str.strip, text.split("\n"))):
            found = re.fullmatch(r"(\w+) (has the first letter :|is spelled) ([A-Z ]+)", line)
            assert found
            word, kind, letters = found.groups()
            kinds[kind] += 1
            assert letters.replace(" ", "") == (word.upper() if kind == "is spelled" else word[0].upper())
    assert len(kinds) == 3


def test_every_word_is_drilled_about_equally_often() -> None:
    drilled = vocabulary(BASE).words
    counts: Counter[str] = Counter()
    for document in take(8000, section=embedded(drill_share=0.99, dense_share=1.0)):
        counts.update(set(words(document)) & set(drilled))
    assert min(counts[word] for word in drilled) > 0.6 * sum(counts.values()) / len(drilled)


def test_natural_words_follow_zipf_and_collocations() -> None:
    section = embedded(drill_share=0.0, alliteration=0.0, topic_noise=0.0)
    pools = lexis(section)
    followed = Counter()
    for document in take(1500, section=section):
        topic = document.labels.get("topic")
        for first, second in zip(document.ids, document.ids[1:], strict=False):
            if topic and first in pools.words[topic]["adjective"].ids:
                own = pools.followers[topic].get(first, []) + pools.followers["plain"].get(first, [])
                followed[second in own] += 1
    assert followed[True] / followed.total() > 0.65  # collocation 0.7, and chance draws of favourites
    weights = pools.words["sea"]["noun"].weights
    assert weights == sorted(weights, reverse=True)
    assert weights[0] / weights[9] == pytest.approx((12 / 3) ** 1.4)
