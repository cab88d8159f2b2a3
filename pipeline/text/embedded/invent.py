"""Invented words: pronounceable, unique, with a given first letter."""

from __future__ import annotations

from random import Random

_VOWELS = "aeiou"
_ONSETS = [
    "b",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "br",
    "dr",
    "gl",
    "pl",
    "tr",
    "st",
]
_CODAS = ["", "", "n", "r", "l", "s", "m", "k", "t"]


def invent(letter: str, taken: set[str], rng: Random) -> str:
    """A new word that begins with `letter` and is not in `taken`, to which it is added."""
    while True:
        word = letter + _body(letter, rng)
        if word not in taken:
            taken.add(word)
            return word


def _body(letter: str, rng: Random) -> str:
    start = _pick(_ONSETS, rng) if letter in _VOWELS else ""
    syllables = 1 + int(rng.random() * 2)
    parts = [start, _pick(_VOWELS, rng), _pick(_CODAS, rng)]
    for _ in range(syllables):
        parts += [_pick(_ONSETS, rng), _pick(_VOWELS, rng), _pick(_CODAS, rng)]
    return "".join(parts)


def _pick(items: str | list[str], rng: Random) -> str:
    return items[int(rng.random() * len(items))]


def share_out(total: int, weights: dict[str, float]) -> dict[str, int]:
    """`total` divided in proportion to `weights`, by largest remainders."""
    whole = sum(weights.values())
    exact = {key: total * weight / whole for key, weight in weights.items()}
    counts = {key: int(value) for key, value in exact.items()}
    left = total - sum(counts.values())
    for key in sorted(exact, key=lambda k: (counts[k] - exact[k], k))[:left]:
        counts[key] += 1
    return counts
