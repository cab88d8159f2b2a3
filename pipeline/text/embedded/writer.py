"""Documents whose words depend on slow states, with every token's states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log
from random import Random

from pipeline.text.embedded import lexicon
from pipeline.text.embedded.clock import SLOW, Clock
from pipeline.text.embedded.lexis import Lexis

LENGTH, LENGTH_SPREAD, SHORTEST, LONGEST = 170.0, 0.6, 40, 700
"""Tokens of a document: lognormal with this median and sigma, cut to this range."""
OTHER_LANGUAGE, OTHER_REGISTER, OTHER_TENSE = 0.3, 0.3, 0.2
"""Share of function words of a random language or register, and of verb forms of a random tense."""
CLAUSES = 4
"""A sentence has 1 to CLAUSES clauses."""
BEFORE, BETWEEN, PREPOSITION, DETERMINER, VERB = 0.6, 0.35, 0.35, 0.7, 0.5
"""Chance of one more filler before the noun, and after it; of a preposition, a determiner, a verb."""
SPEAKER_PARTICLE, DOMAIN_PARTICLE, AUXILIARY = 0.30, 0.58, 0.84
"""Bounds of the fillers' shares; the rest are adverbs."""

NONE = -1
FUNCTION, NOUN, VERB_CLASS, ADJECTIVE, ADVERB, SPEAKER, DOMAIN, AUX, MARK = range(len(lexicon.WORD_CLASSES))


@dataclass(frozen=True)
class Document:
    """Token ids (no BOS); `kind` is text or drill; `states` has a row per token, or none in a drill.

    A row: the slow states in the order of `clock.SLOW`, then word class, noun kind and noun sub-kind.
    """

    kind: str
    ids: list[int]
    states: list[tuple[int, ...]]


class Writer:
    """Writes one document after another from one stream of random numbers."""

    def __init__(self, lexis: Lexis, rng: Random) -> None:
        self.lexis, self.rng, self.uniform = lexis, rng, rng.random

    def text(self, held: Mapping[str, int] | None = None, length: int | None = None) -> Document:
        """Whole sentences until `length` tokens (None: drawn) are there; `held` states never change."""
        wanted = length or self._length()
        self._ids: list[int] = []
        self._states: list[tuple[int, ...]] = []
        clock = Clock(self.lexis.section, self.rng, held or {})
        while len(self._ids) < wanted:
            clock.advance(len(self._ids))
            self._now = clock.now
            self._sentence()
        return Document("text", self._ids, self._states)

    def _length(self) -> int:
        drawn = exp(log(LENGTH) + LENGTH_SPREAD * self.rng.gauss(0, 1))
        return int(min(max(drawn, SHORTEST), LONGEST))

    def _add(self, word: int, word_class: int, kind: int = NONE, sub_kind: int = NONE) -> None:
        self._ids.append(word)
        self._states.append((*self._now, word_class, kind, sub_kind))

    def _sentence(self) -> None:
        for _ in range(1 + int(self.uniform() * CLAUSES)):
            self._clause()
        self._add(self.lexis.ends[self._now[SLOW.index("speaker")]].draw(self.uniform), MARK)

    def _clause(self) -> None:
        """`[fillers] [preposition] [determiner] [adjective] noun [fillers] [verb]`."""
        lexis, uniform = self.lexis, self.uniform
        _, domain, sub_domain, _, speaker, _ = self._now
        self._fillers(BEFORE)
        if uniform() < PREPOSITION:
            self._function(lexicon.DETERMINERS, lexicon.ROLES)
        if uniform() < DETERMINER:
            self._function(0, lexicon.DETERMINERS)
        if uniform() < lexis.habits[speaker]:
            self._add(lexis.adjectives[sub_domain].draw(uniform), ADJECTIVE)
        noun = lexis.nouns[sub_domain].draw(uniform)
        upper = 2 * domain >= lexis.section.domains
        sub_kind = lexis.kinds[noun][upper]
        self._add(noun, NOUN, sub_kind // lexicon.SUB_KINDS, sub_kind)
        self._fillers(BETWEEN)
        if uniform() < VERB:
            self._verb(sub_kind)

    def _fillers(self, more: float) -> None:
        lexis, uniform = self.lexis, self.uniform
        _, _, sub_domain, register, speaker, tense = self._now
        while uniform() < more:
            u = uniform()
            if u < SPEAKER_PARTICLE:
                self._add(lexis.speaker_particles[speaker].draw(uniform), SPEAKER)
            elif u < DOMAIN_PARTICLE:
                self._add(lexis.domain_particles[sub_domain].draw(uniform), DOMAIN)
            elif u < AUXILIARY:
                self._add(lexis.auxiliaries[tense].draw(uniform), AUX)
            else:
                self._add(lexis.adverbs[speaker][register].draw(uniform), ADVERB)

    def _verb(self, sub_kind: int) -> None:
        tenses = self.lexis.section.tenses
        _, domain, _, _, _, tense = self._now
        lemma = self.lexis.verbs[sub_kind][domain].draw(self.uniform)
        self._add(lemma + self._noisy(tense, tenses, OTHER_TENSE), VERB_CLASS)

    def _function(self, first: int, end: int) -> None:
        section = self.lexis.section
        language, _, _, register, _, _ = self._now
        role = first + int(self.uniform() * (end - first))
        language = self._noisy(language, section.languages, OTHER_LANGUAGE)
        register = self._noisy(register, section.registers, OTHER_REGISTER)
        self._add(self.lexis.function(role, language, register), FUNCTION)

    def _noisy(self, value: int, values: int, noise: float) -> int:
        return int(self.uniform() * values) if self.uniform() < noise else value
