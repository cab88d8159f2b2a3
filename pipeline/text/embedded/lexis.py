"""How words depend on states: a pool of words for every value of the states that a word class carries.

A pure function of the text section. Every dependence is soft, so that no single word tells a state; the
frequent classes (function words, particles, auxiliaries) carry every slow state, because a state that only
rare words carry is not learned in a few million tokens (docs/model.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from pipeline.text.embedded import lexicon
from pipeline.text.embedded.pools import Pool, base_weights, leanings, product, shared_out
from pipeline.text.embedded.vocabulary import Vocabulary, vocabulary
from pipeline.text.section import EmbeddedText

OWN, RELATED = 0.4, 0.2
"""Share of nouns and adjectives at home in the sub-domain, and in the other sub-domains of its domain."""
AMBIGUOUS = 60
"""Most frequent nouns that are of another kind in the upper half of the domains."""
KIND_SHARE = 0.85
"""Share of verbs that fit the noun's kind."""


@dataclass(frozen=True)
class Lexis:
    """Pools by the values of states; `kinds[noun]` is its sub-kind in (lower, upper) domains."""

    section: EmbeddedText
    vocabulary: Vocabulary
    nouns: list[Pool]  # by sub-domain
    adjectives: list[Pool]  # by sub-domain
    verbs: list[list[Pool]]  # by sub-kind, domain; the lemma's form of the first tense
    adverbs: list[list[Pool]]  # by speaker, register
    speaker_particles: list[Pool]  # by speaker
    domain_particles: list[Pool]  # by sub-domain
    auxiliaries: list[Pool]  # by tense
    ends: list[Pool]  # by speaker
    habits: list[float]  # adjectives per noun, by speaker
    kinds: dict[int, tuple[int, int]]

    def function(self, role: int, language: int, register: int) -> int:
        """The function word of a role."""
        section = self.section
        place = (role * section.languages + language) * section.registers + register
        return self.vocabulary.classes["function"][place]


@lru_cache(maxsize=2)
def lexis(section: EmbeddedText) -> Lexis:
    """The pools of `section`."""
    vocab, rng = vocabulary(section), Random(f"lexis {section.seed}")
    classes, c = vocab.classes, section.contrast
    noun_weights = base_weights(len(classes["noun"]), rng)
    speech = leanings(section.speakers, len(classes["adverb"]), 1.5 * c, rng)
    tone = leanings(section.registers, len(classes["adverb"]), 1.0 * c, rng)
    return Lexis(
        section, vocab,
        nouns=_at_home(section, classes["noun"], noun_weights, rng),
        adjectives=_at_home(section, classes["adjective"], base_weights(len(classes["adjective"]), rng), rng),
        verbs=_verbs(section, classes["verb"][:: section.tenses], rng),
        adverbs=[[Pool(classes["adverb"], product(a, b)) for b in tone] for a in speech],
        speaker_particles=_by(section.speakers, classes["speaker_particle"], 2.2 * c, rng),
        domain_particles=_nested(section, classes["domain_particle"], rng),
        auxiliaries=_by(section.tenses, classes["auxiliary"], 1.8 * c, rng),
        ends=_ends(section, classes["mark"], rng),
        habits=[0.15 + 0.6 * rng.random() for _ in range(section.speakers)],
        kinds=_kinds(section, classes["noun"], noun_weights, rng),
    )  # fmt: skip


def _ends(section: EmbeddedText, ids: list[int], rng: Random) -> list[Pool]:
    marks = leanings(section.speakers, len(ids), section.contrast, rng)
    return [Pool(ids, product((4, 1, 1), each)) for each in marks]


def _by(values: int, ids: list[int], spread: float, rng: Random) -> list[Pool]:
    base = base_weights(len(ids), rng)
    return [Pool(ids, product(base, each)) for each in leanings(values, len(ids), spread, rng)]


def _nested(section: EmbeddedText, ids: list[int], rng: Random) -> list[Pool]:
    """By sub-domain: mostly the domain's words, shifted by the sub-domain."""
    base, c = base_weights(len(ids), rng), section.contrast
    parents = leanings(section.domains, len(ids), 1.4 * c, rng)
    children = leanings(section.domains * section.sub_domains, len(ids), 1.3 * c, rng)
    return [Pool(ids, product(base, parents[sub // section.sub_domains], each))
            for sub, each in enumerate(children)]  # fmt: skip


def _at_home(section: EmbeddedText, ids: list[int], weights: list[float], rng: Random) -> list[Pool]:
    """By sub-domain: every word has a home sub-domain, where it is frequent; related ones use it too."""
    subs = section.domains * section.sub_domains
    homes = [index % subs for index in range(len(ids))]
    rng.shuffle(homes)
    pools = []
    for sub in range(subs):
        domain = sub // section.sub_domains
        groups = [0 if home == sub else 1 if home // section.sub_domains == domain else 2 for home in homes]
        shares = {0: OWN * section.home, 1: RELATED * section.home, 2: 1 - (OWN + RELATED) * section.home}
        noise = leanings(1, len(ids), 0.3, rng)[0]
        pools.append(Pool(ids, shared_out(product(weights, noise), groups, shares)))
    return pools


def _verbs(section: EmbeddedText, lemmas: list[int], rng: Random) -> list[list[Pool]]:
    base, subs = base_weights(len(lemmas), rng), lexicon.KINDS * lexicon.SUB_KINDS
    kinds = [index % lexicon.KINDS for index in range(len(lemmas))]
    fine = leanings(subs, len(lemmas), 1.0, rng)
    domain = leanings(section.domains, len(lemmas), 0.6 * section.contrast, rng)
    rest = (1 - KIND_SHARE) / (lexicon.KINDS - 1)
    found = []
    for sub in range(subs):
        shares = {kind: rest for kind in range(lexicon.KINDS)} | {sub // lexicon.SUB_KINDS: KIND_SHARE}
        row = [shared_out(product(base, fine[sub], each), kinds, shares) for each in domain]
        found.append([Pool(lemmas, each) for each in row])
    return found


def _kinds(
    section: EmbeddedText, ids: list[int], weights: list[float], rng: Random
) -> dict[int, tuple[int, int]]:
    subs = lexicon.KINDS * lexicon.SUB_KINDS
    drawn = {noun: int(rng.random() * subs) for noun in ids}
    kinds = {noun: (sub, sub) for noun, sub in drawn.items()}
    frequent = sorted(range(len(ids)), key=lambda i: -weights[i])[: min(AMBIGUOUS, len(ids) // 10)]
    for noun in (ids[i] for i in frequent):
        shift = lexicon.SUB_KINDS * (1 + int(rng.random() * (lexicon.KINDS - 1)))
        kinds[noun] = (drawn[noun], (drawn[noun] + shift) % subs)
    return kinds
