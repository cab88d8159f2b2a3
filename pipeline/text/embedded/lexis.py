"""Everything the grammar draws from: pools by topic and trade, favourite followers, function words.

A pure function of the text section, built once per run. Collocations (an adjective's favourite
nouns, a noun's favourite verbs) give the language model context to use; they are chosen within a
topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline.text.embedded import lexicon
from pipeline.text.embedded.pools import WordPool, favourites
from pipeline.text.embedded.vocabulary import PARTS, Vocabulary, vocabulary
from pipeline.text.section import EmbeddedText

FAVOURITES = 3
"""Favourite followers of a word in one topic."""

TOPICS = list(lexicon.TOPICS)
TRADES = list(lexicon.TRADES)
LANGUAGES = list(lexicon.LANGUAGES)
SENTIMENTS = list(lexicon.EVALUATIONS)
GENDERS = ["female", "male"]
ALL_GENDERS = list(lexicon.NAMES)


@dataclass(frozen=True)
class Lexis:
    """Token ids, ready to draw. `words[topic][part]`; `followers[topic][id]` are favourite followers."""

    section: EmbeddedText
    vocabulary: Vocabulary
    words: dict[str, dict[str, WordPool]]
    followers: dict[str, dict[int, list[int]]]
    trades: dict[str, dict[str, list[int]]]
    evaluations: dict[str, list[int]]
    names: dict[str, list[int]]
    pronouns: dict[str, list[int]]
    functions: dict[str, list[int]]
    letters: dict[int, str]


def lexis(section: EmbeddedText) -> Lexis:
    """Build the pools of `section`."""
    vocab = vocabulary(section)
    rng = Random(f"lexis {section.seed}")
    letters = {vocab.ids[word]: word[0] for word in vocab.words}
    words = {topic: _word_pools(section, vocab, topic, letters, rng) for topic in sorted(vocab.pools)}
    return Lexis(
        section, vocab, words,
        followers={topic: _followers(words[topic], words, rng) for topic in sorted(words)},
        trades={
            trade: {part: _ids(vocab, text) for part, text in parts.items()}
            for trade, parts in lexicon.TRADES.items()
        },
        evaluations={key: _ids(vocab, text) for key, text in lexicon.EVALUATIONS.items()},
        names={key: _ids(vocab, text) for key, text in lexicon.NAMES.items()},
        pronouns={key: _ids(vocab, text) for key, text in lexicon.PRONOUNS.items()},
        functions={key: _ids(vocab, text) for key, text in lexicon.LANGUAGES.items()},
        letters=letters,
    )  # fmt: skip


def _ids(vocab: Vocabulary, text: str) -> list[int]:
    return [vocab.ids[word] for word in text.split()]


def _word_pools(
    section: EmbeddedText, vocab: Vocabulary, topic: str, letters: dict[int, str], rng: Random
) -> dict[str, WordPool]:
    pools = {}
    for part in PARTS:
        ids = [vocab.ids[word] for word in vocab.pools[topic][part]]
        pools[part] = WordPool(ids, letters, section.zipf_exponent, section.zipf_offset, rng)
    return pools


def _followers(
    target: dict[str, WordPool], words: dict[str, dict[str, WordPool]], rng: Random
) -> dict[int, list[int]]:
    """Followers within one topic for every adjective (a noun) and every noun (a verb), of any topic."""
    followers: dict[int, list[int]] = {}
    for topic in sorted(words):
        followers |= favourites(words[topic]["adjective"].ids, target["noun"], FAVOURITES, rng)
        followers |= favourites(words[topic]["noun"].ids, target["verb"], FAVOURITES, rng)
    return followers
