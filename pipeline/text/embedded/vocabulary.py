"""The vocabulary of the embedded text: every token, and which words belong to which pool.

A pure function of the text section. Every word is drilled, names and function words too, because
spelling is arbitrary for a word-level token that no drill spells. Each of the 26 letters begins at
least `min_words_per_letter` content words: a probe per letter needs words to train and to test on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random

from pipeline.text.embedded import lexicon
from pipeline.text.embedded.invent import invent, share_out
from pipeline.text.section import EmbeddedText

SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"]
PARTS = ("noun", "verb", "adjective")
_PART_SHARES = {"noun": 0.6, "verb": 0.2, "adjective": 0.2}


@dataclass(frozen=True)
class Vocabulary:
    """`tokens[i]` has id i; `words` have a spelling; `pools[topic][part]` are content words."""

    tokens: list[str]
    words: list[str]
    pools: dict[str, dict[str, list[str]]]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token to id."""
        return {token: index for index, token in enumerate(self.tokens)}


@lru_cache(maxsize=4)
def vocabulary(section: EmbeddedText) -> Vocabulary:
    """The vocabulary of `section`: depends on its seed, pseudo_words and min_words_per_letter."""
    pools = _real_pools()
    words = _real_words()
    _add_invented(section, pools, words)
    fixed = [*SPECIALS, *"\n.,:;", *lexicon.LETTERS]
    words = list(dict.fromkeys([*_function_words(), *_names(), *words]))
    return Vocabulary([*fixed, *words], sorted(words), pools)


def _real_pools() -> dict[str, dict[str, list[str]]]:
    topics = {**lexicon.TOPICS, "plain": lexicon.PLAIN}
    return {topic: {part: parts[part].split() for part in PARTS} for topic, parts in topics.items()}


def _real_words() -> list[str]:
    groups = [
        *(text for parts in [*lexicon.TOPICS.values(), lexicon.PLAIN] for text in parts.values()),
        *lexicon.EVALUATIONS.values(),
        *(text for parts in lexicon.TRADES.values() for text in parts.values()),
    ]
    return list(dict.fromkeys(" ".join(groups).split()))


def _function_words() -> list[str]:
    groups = [*lexicon.LANGUAGES.values(), *lexicon.PRONOUNS.values(), lexicon.DRILLS]
    return " ".join(groups).split()


def _names() -> list[str]:
    return " ".join(lexicon.NAMES.values()).split()


def _add_invented(section: EmbeddedText, pools: dict[str, dict[str, list[str]]], words: list[str]) -> None:
    """Fill every letter up to the minimum, then follow English initials; spread over topics and parts."""
    rng = Random(f"vocabulary {section.seed}")
    taken = {*words, *_function_words()}
    topics = sorted(pools)
    for letter in _initials(section, words):
        word = invent(letter, taken, rng)
        words.append(word)
        part = rng.choices(PARTS, [_PART_SHARES[part] for part in PARTS])[0]
        pools[topics[int(rng.random() * len(topics))]][part].append(word)


def _initials(section: EmbeddedText, words: list[str]) -> list[str]:
    have = {letter: sum(word[0] == letter for word in words) for letter in lexicon.INITIALS}
    lacking = {letter: max(0, section.min_words_per_letter - count) for letter, count in have.items()}
    rest = share_out(max(0, section.pseudo_words - sum(lacking.values())), lexicon.INITIALS)
    return [letter for letter in lexicon.INITIALS for _ in range(lacking[letter] + rest[letter])]
