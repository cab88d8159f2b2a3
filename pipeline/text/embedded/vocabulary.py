"""The vocabulary of the embedded text: every token, and which words belong to which class.

A pure function of the text section. Every word is one token and every word is drilled, because spelling is
arbitrary for a word-level token that no drill spells. Each of the 26 letters begins at least
`min_words_per_letter` words: a probe per letter needs words to train and to test on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random

from pipeline.text.embedded import lexicon
from pipeline.text.embedded.invent import invent, share_out
from pipeline.text.section import EmbeddedText


@dataclass(frozen=True)
class Vocabulary:
    """`tokens[i]` has id i; `words` have a spelling; `classes` are the ids of each word class, in order."""

    tokens: list[str]
    words: list[str]
    classes: dict[str, list[int]]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token to id."""
        return {token: index for index, token in enumerate(self.tokens)}


@lru_cache(maxsize=4)
def vocabulary(section: EmbeddedText) -> Vocabulary:
    """The vocabulary of `section`."""
    sizes = class_sizes(section)
    invented = _invented(section, sum(sizes.values()))
    fixed = [*lexicon.SPECIALS, *lexicon.MARKS, *lexicon.LETTERS, *lexicon.DRILLS]
    classes, start = {}, len(fixed)
    for name, size in sizes.items():
        classes[name] = list(range(start, start + size))
        start += size
    classes["mark"] = [fixed.index(mark) for mark in lexicon.ENDS]
    return Vocabulary([*fixed, *invented], sorted([*lexicon.DRILLS, *invented]), classes)


def class_sizes(section: EmbeddedText) -> dict[str, int]:
    """Words of each invented class. The small, frequent classes grow with the values of their states."""
    small = {
        "function": lexicon.ROLES * section.languages * section.registers,
        "adverb": 5 * section.speakers,
        "speaker_particle": 4 * section.speakers,
        "domain_particle": 6 * section.domains,
        "auxiliary": 6 * section.tenses,
    }
    left = section.words - sum(small.values()) - len(lexicon.DRILLS)
    verbs = int(left * lexicon.SHARES["verb"]) // section.tenses * section.tenses
    adjectives = int(left * lexicon.SHARES["adjective"])
    return {**small, "noun": left - verbs - adjectives, "verb": verbs, "adjective": adjectives}


def _invented(section: EmbeddedText, count: int) -> list[str]:
    """Fill every letter up to the minimum, then follow English initials; in random order."""
    rng = Random(f"vocabulary {section.seed}")
    have = {letter: sum(word[0] == letter for word in lexicon.DRILLS) for letter in lexicon.INITIALS}
    lacking = {letter: max(0, section.min_words_per_letter - each) for letter, each in have.items()}
    rest = share_out(max(0, count - sum(lacking.values())), lexicon.INITIALS)
    initials = [letter for letter in lexicon.INITIALS for _ in range(lacking[letter] + rest[letter])]
    rng.shuffle(initials)
    taken = set(lexicon.DRILLS)
    return [invent(letter, taken, rng) for letter in initials[:count]]
