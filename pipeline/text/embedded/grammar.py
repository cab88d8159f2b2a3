"""Articles and biographies: labelled documents as token ids.

An article has a topic, a sentiment and a language; a biography has a profession, a gender and a
language. Every label shows only through word choice, and each has a noise knob (the share of words
drawn for a random label), so that no probing task is saturated or at chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TypeVar

from pipeline.text.embedded.lexis import ALL_GENDERS, GENDERS, LANGUAGES, SENTIMENTS, TOPICS, TRADES, Lexis

DETERMINER, INDEFINITE, AND, COPULA = 0, 1, 2, 6
PREPOSITIONS = (3, 4, 5, 7)
"""Slots of `lexicon.LANGUAGES`; the last preposition slot is the past copula, used as a linker."""

PLAIN_SHARE = 0.25
"""Share of content words that belong to no topic."""
ADJECTIVE_SHARE = 0.5
"""Noun phrases with an adjective."""
TRADE_SHARE = 0.5
"""Share of a biography's nouns and verbs that belong to a trade."""


@dataclass(frozen=True)
class Document:
    """Token ids (no BOS) and what is known about them; `kind` is article, biography or drill."""

    kind: str
    ids: list[int]
    labels: dict[str, str]


T = TypeVar("T")


def _one(items: list[T], rng: Random) -> T:
    return items[int(rng.random() * len(items))]


class Writer:
    """Writes one document after another from one stream of random numbers."""

    def __init__(self, lexis: Lexis, rng: Random) -> None:
        self.lexis, self.rng, self.uniform = lexis, rng, rng.random
        self.section = lexis.section
        self._mark = [lexis.vocabulary.ids[mark] for mark in (".", ",")]

    def article(self) -> Document:
        """3 to 7 sentences on a topic."""
        self._begin(topic=_one(TOPICS, self.rng), language=_one(LANGUAGES, self.rng))
        self._sentiment = _one(SENTIMENTS, self.rng)
        for _ in range(3 + int(self.uniform() * 5)):
            self._sentence()
        labels = {"topic": self._topic, "sentiment": self._sentiment, "language": self._language}
        return Document("article", self._ids, labels)

    def biography(self) -> Document:
        """3 to 6 sentences about a person with a trade."""
        self._begin(topic="plain", language=_one(LANGUAGES, self.rng))
        self._trade, self._gender = _one(TRADES, self.rng), _one(GENDERS, self.rng)
        self._deed(_one(self.lexis.names[self._some_gender()], self.rng))
        for _ in range(2 + int(self.uniform() * 4)):
            self._deed(self.lexis.pronouns[self._some_gender()][0])
        labels = {"profession": self._trade, "gender": self._gender, "language": self._language}
        return Document("biography", self._ids, labels)

    def _begin(self, topic: str, language: str) -> None:
        self._topic, self._language = topic, language
        self._ids: list[int] = []
        self._last = 0  # the content word before, for alliteration

    def _sentence(self) -> None:
        """`the [adjective] noun verb the noun [with a noun] .`"""
        subject = self._noun_phrase(evaluate=True)
        self._ids.append(self._content("verb", after=subject))
        self._noun_phrase(evaluate=True)
        if self.uniform() < 0.5:
            self._ids.append(self._function(PREPOSITIONS[int(self.uniform() * 4)]))
            self._noun_phrase(evaluate=False)
        self._ids.append(self._mark[0])

    def _deed(self, person: int) -> None:
        """`she verb the noun [and her noun] .`"""
        self._ids += [person, self._trade_word("verb"), self._function(DETERMINER), self._trade_word("noun")]
        if self.uniform() < 0.5:
            own = self.lexis.pronouns[self._some_gender()][1]
            self._ids += [self._function(AND), own, self._trade_word("noun")]
        self._ids.append(self._mark[0])

    def _noun_phrase(self, evaluate: bool) -> int:
        self._ids.append(self._function(DETERMINER if self.uniform() < 0.7 else INDEFINITE))
        if evaluate and self.uniform() < self.section.sentiment_rate:
            self._ids.append(_one(self.lexis.evaluations[self._polarity()], self.rng))
        adjective = 0
        if self.uniform() < ADJECTIVE_SHARE:
            adjective = self._content("adjective")
            self._ids.append(adjective)
        noun = self._content("noun", after=adjective)
        self._ids.append(noun)
        return noun

    def _content(self, part: str, after: int = 0) -> int:
        """A word of `part`: a favourite of the word `after` it, one with the last letter, or any."""
        section, uniform = self.section, self.uniform
        topic = self._some_topic()
        if after and uniform() < section.collocation:
            word = _one(self.lexis.followers[topic][after], self.rng)
        else:
            pool = self.lexis.words[topic][part]
            alike = None
            if self._last and uniform() < section.alliteration:
                alike = pool.by_letter.get(self.lexis.letters[self._last])
            word = (alike or pool).draw(uniform)
        self._last = word
        return word

    def _some_topic(self) -> str:
        if self._topic == "plain" or self.uniform() < PLAIN_SHARE:
            return "plain"
        return _one(TOPICS, self.rng) if self.uniform() < self.section.topic_noise else self._topic

    def _trade_word(self, part: str) -> int:
        if self.uniform() >= TRADE_SHARE:
            return self._content(part)
        noisy = self.uniform() < self.section.biography_noise
        trade = _one(TRADES, self.rng) if noisy else self._trade
        return _one(self.lexis.trades[trade][part], self.rng)

    def _some_gender(self) -> str:
        return _one(ALL_GENDERS, self.rng) if self.uniform() < self.section.gender_noise else self._gender

    def _polarity(self) -> str:
        flip = self.uniform() < self.section.sentiment_noise
        return SENTIMENTS[1 - SENTIMENTS.index(self._sentiment)] if flip else self._sentiment

    def _function(self, slot: int) -> int:
        noisy = self.uniform() < self.section.language_noise
        return self.lexis.functions[_one(LANGUAGES, self.rng) if noisy else self._language][slot]
