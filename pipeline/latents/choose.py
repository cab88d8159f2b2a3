"""Which latents the browser shows: a few of each kind, so that the artefact stays small."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DENSE, LETTERS, ABSORBERS, STEADY, FLICKERING, RANDOM, TEXT = 4, 5, 4, 4, 4, 4, 6
"""Latents of each kind, per SAE; one latent may be of several kinds."""

MOST = DENSE + LETTERS + ABSORBERS + STEADY + FLICKERING + RANDOM + TEXT
"""No SAE shows more latents."""

ENOUGH = 30
"""Tokens that a latent must fire on, with a token after them, before its flicker says anything."""

Row = Mapping[str, Any]


def choose(
    latents: Sequence[Row], words: Sequence[Row], on_text: Sequence[int], seed: str
) -> dict[int, list[str]]:
    """Latent -> why it is shown, in the order of the kinds.

    `latents` are the SAE's rows of reconstruction's latents.tsv, `words` those of absorption's words.tsv
    (none where absorption could not be measured), `on_text` the latents strongest on the shared text.
    """
    found: dict[int, list[str]] = {}
    for latent, why in _each(latents, words, on_text, seed):
        found.setdefault(latent, []).append(why)
    return found


def _each(
    latents: Sequence[Row], words: Sequence[Row], on_text: Sequence[int], seed: str
) -> Iterator[tuple[int, str]]:
    alive = [row for row in latents if row["fired"]]
    for row in sorted(alive, key=lambda row: -row["density"])[:DENSE]:
        yield row["latent"], "dense"
    yield from _letters(words)
    yield from _absorbers(words)
    steady = [row for row in alive if (row["on_followed"] or 0) >= ENOUGH]
    by_share = sorted(steady, key=lambda row: (row["stays_on"] / row["on_followed"], row["fired"]))
    for row in by_share[::-1][:STEADY]:
        yield row["latent"], "steady"
    for row in sorted(steady, key=lambda row: (row["stays_on"] / row["on_followed"], -row["fired"]))[
        :FLICKERING
    ]:
        yield row["latent"], "flickering"
    for row in random.Random(seed).sample(alive, min(RANDOM, len(alive))):
        yield row["latent"], "random"
    for latent in on_text[:TEXT]:
        yield latent, "on the shared text"


def _letters(words: Sequence[Row]) -> Iterator[tuple[int, str]]:
    """Of the letters whose words are absorbed most, the latent that carries the letter in most words."""
    kept = [row for row in words if row["kept"]]
    lost: Counter[str] = Counter()
    carried: dict[str, Counter[int]] = {}
    for row in kept:
        lost[row["letter"]] += row["full_absorption"]
        if not row["main_silent"] and row["top_latent"] >= 0:
            carried.setdefault(row["letter"], Counter())[row["top_latent"]] += 1
    for letter in sorted(carried, key=lambda letter: (-lost[letter], letter))[:LETTERS]:
        yield carried[letter].most_common(1)[0][0], f"letter {letter}"


def _absorbers(words: Sequence[Row]) -> Iterator[tuple[int, str]]:
    """The latents that absorb the most words, with the letter and a word."""
    absorbed: dict[int, list[Row]] = {}
    for row in words:
        if row["kept"] and row["full_absorption"]:
            absorbed.setdefault(row["top_latent"], []).append(row)
    for latent in sorted(absorbed, key=lambda latent: (-len(absorbed[latent]), latent))[:ABSORBERS]:
        rows = absorbed[latent]
        letter = Counter(str(row["letter"]) for row in rows).most_common(1)[0][0]
        example = next(str(row["word"]) for row in rows if row["letter"] == letter)
        yield latent, f"absorbs {letter} in {len(rows)} word{'s' * (len(rows) > 1)}, as in {example[:24]}"
