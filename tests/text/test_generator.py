from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from itertools import islice
from random import Random
from statistics import median

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.text.embedded.clock import SLOW, slow_values
from pipeline.text.embedded.fields import fields
from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.lexicon import SUB_KINDS, WORD_CLASSES
from pipeline.text.embedded.lexis import lexis
from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.embedded.writer import Document, Writer
from pipeline.text.section import EmbeddedText
from tests.text.sections import embedded

BASE = embedded()
RICH = embedded(words=900, domains=4, sub_domains=3, speakers=4, registers=3, languages=3, drill_share=0.0)


def take(count: int, stream: str = "x", section: EmbeddedText = BASE, drills: float = 0.2) -> list[Document]:
    return list(islice(documents(section, stream, drills), count))


def states(found: list[Document], name: str, section: EmbeddedText = RICH) -> list[npt.NDArray[np.int64]]:
    """One array per document."""
    column = [field.name for field in fields(section)].index(name)
    return [np.array(document.states)[:, column] for document in found]


@pytest.fixture(scope="module")
def long() -> list[Document]:
    """Few documents of many tokens, so that every duration fits in."""
    writer = Writer(lexis(RICH), Random("long"))
    return [writer.text(length=20_000) for _ in range(3)]


def test_streams_are_reproducible_and_differ_by_name_and_seed() -> None:
    assert take(20) == take(20)
    assert take(20) != take(20, "y")
    assert take(20) != take(20, section=embedded(seed=4))


def test_golden_tokens() -> None:
    ids = [i for document in take(30, section=RICH) for i in document.ids]
    assert sha256(np.array(ids, dtype="<i4").tobytes()).hexdigest()[:16] == "d5309ba0254de294"


def test_drills_have_their_share_of_the_tokens() -> None:
    for share in (0.0, 0.1, 0.3):
        tokens: Counter[str] = Counter()
        for document in take(3000, drills=share):
            tokens[document.kind] += len(document.ids)
        assert tokens["drill"] / tokens.total() == pytest.approx(share, abs=0.05)
        assert set(tokens) <= {"drill", "text"}


def test_every_token_of_a_text_is_labelled_and_no_drill_is() -> None:
    limits = [field.values for field in fields(BASE)]
    for document in take(100):
        assert len(document.states) == (0 if document.kind == "drill" else len(document.ids))
        if document.states:
            rows = np.array(document.states)
            assert (rows < limits).all()
            assert (rows[:, : len(SLOW) + 1] >= 0).all()


def test_word_class_and_kind_are_the_token_s_own() -> None:
    classes = vocabulary(RICH).classes
    for document in take(30, section=RICH, drills=0):
        for token, row in zip(document.ids, document.states, strict=True):
            name = WORD_CLASSES[row[len(SLOW)]]
            assert token in classes[name]
            kind, sub_kind = row[len(SLOW) + 1 :]
            assert (kind >= 0) == (name == "noun")
            assert kind == sub_kind // SUB_KINDS


def test_children_lie_in_their_parents(long: list[Document]) -> None:
    for child, parent in zip(states(long, "sub_domain"), states(long, "domain"), strict=True):
        assert (child // RICH.sub_domains == parent).all()


def test_frequent_nouns_are_of_another_kind_elsewhere(long: list[Document]) -> None:
    upper = np.concatenate(states(long, "domain")) >= RICH.domains / 2
    kind = np.concatenate(states(long, "noun_kind"))
    tokens = np.array([i for document in long for i in document.ids])
    seen: dict[int, set[tuple[bool, int]]] = {}
    for token, half, value in zip(tokens[kind >= 0], upper[kind >= 0], kind[kind >= 0], strict=True):
        seen.setdefault(token, set()).add((bool(half), int(value)))
    kinds = {token: {value for _, value in each} for token, each in seen.items()}
    assert sum(len(each) == 2 for each in kinds.values()) > 20
    for token, each in seen.items():
        assert len(kinds[token]) == 1 or len(each) == 2  # one kind in each half, always


@pytest.mark.parametrize("name", ["domain", "sub_domain", "register", "speaker", "tense"])
def test_states_last_as_long_as_asked_and_change_between_sentences(long: list[Document], name: str) -> None:
    wanted, ends = getattr(RICH, f"{name}_tokens"), set(vocabulary(RICH).classes["mark"])
    runs: list[int] = []
    for document, values in zip(long, states(long, name), strict=True):
        changes = np.flatnonzero(np.diff(values)) + 1
        assert all(document.ids[at - 1] in ends for at in changes)
        runs += np.diff(changes).tolist()
    # a change waits for the sentence's end, and a sub-domain ends with its domain
    assert wanted * 0.6 < median(runs) < wanted + 25


def test_the_language_lasts_for_the_document(long: list[Document]) -> None:
    assert all(len(set(values)) == 1 for values in states(long, "language"))


def test_states_are_independent() -> None:
    """In the middle of many documents: every pair of states is near the product of its margins."""
    rows = np.array([document.states[30] for document in take(2500, section=RICH, drills=0)])
    for i, first in enumerate(SLOW):
        for j, second in enumerate(SLOW[:i]):
            if {first, second} != {"domain", "sub_domain"}:
                a, b = slow_values(RICH)[first], slow_values(RICH)[second]
                joint = np.bincount(rows[:, i] * b + rows[:, j], minlength=a * b).reshape(a, b) / len(rows)
                expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
                chi2 = len(rows) * ((joint - expected) ** 2 / expected).sum()
                degrees = (a - 1) * (b - 1)
                assert chi2 < degrees + 5 * (2 * degrees) ** 0.5  # five standard deviations


def test_held_states_never_change() -> None:
    writer = Writer(lexis(RICH), Random("held"))
    for name, value in (("domain", 2), ("sub_domain", 7), ("speaker", 3), ("language", 1)):
        document = writer.text({name: value}, 3000)
        assert set(states([document], name)[0]) == {value}
        assert len(set(states([document], "register")[0])) > 1


def test_without_contrast_particles_tell_nothing() -> None:
    def spread(contrast: float) -> float:
        section = RICH.model_copy(update={"contrast": contrast})
        found = take(400, section=section, drills=0)
        particles = vocabulary(section).classes["speaker_particle"]
        speaker = np.concatenate(states(found, "speaker", section))
        tokens = np.array([i for document in found for i in document.ids]) - particles[0]
        here = (tokens >= 0) & (tokens < len(particles))
        table = np.zeros((section.speakers, len(particles)))
        np.add.at(table, (speaker[here], tokens[here]), 1)
        return float((table / table.sum(1, keepdims=True)).std(0).mean())

    assert spread(0.0) < 0.25 * spread(1.0)


def drill_texts() -> list[str]:
    tokens = vocabulary(BASE).tokens
    found = take(600, drills=0.95)
    return [" ".join(tokens[i] for i in each.ids) for each in found if each.kind == "drill"]


def test_drills_spell_correctly() -> None:
    kinds: Counter[str] = Counter()
    for text in drill_texts():
        if text.startswith("first letter :"):
            kinds["pairs"] += 1
            assert re.fullmatch(r"first letter :( \w+ [A-Z] ,){12,36}", text)
            assert all(word[0].upper() == letter for word, letter in re.findall(r"(\w+) ([A-Z]) ,", text))
        elif text.startswith("words "):
            kinds["list"] += 1
            letter, rest = re.fullmatch(r"words ([A-Z]) : (.*)", text).groups()  # type: ignore[union-attr]
            assert {word[0].upper() for word in rest.split()} == {letter}
        else:
            for line in filter(None, map(str.strip, text.split("\n"))):
                kinds["template"] += 1
                found = re.fullmatch(r"(\w+) has the first letter : ([A-Z])", line)
                assert found
                assert found[1][0].upper() == found[2]
    assert min(kinds[kind] for kind in ("pairs", "list", "template")) > 10


def test_every_word_is_drilled_about_equally_often() -> None:
    drilled = set(vocabulary(BASE).words) - {"first", "letter", "has", "the", "words"}
    counts: Counter[str] = Counter()
    for text in drill_texts() + drill_texts():
        counts.update(set(text.split()) & drilled)
    assert min(counts[word] for word in drilled) > 0.4 * sum(counts.values()) / len(drilled)
