"""First-letter prompts over the drilled words, in the format of the template drills."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.section import EmbeddedText


def drilled_words(section: EmbeddedText) -> list[str]:
    """Every word that the drills spell, sorted: the vocabulary without marks and letters."""
    return vocabulary(section).words


def letter_prompts(words: Sequence[str], shots: int, seed: int) -> list[str]:
    """For each word `shots` lines `v has the first letter : V` of other words, then the word itself."""
    rng = Random(f"prompts {seed}")
    texts = []
    for word in words:
        others = [other for other in rng.sample(words, shots + 1) if other != word][:shots]
        lines = [f"{other} has the first letter : {other[0].upper()} \n" for other in others]
        texts.append(" ".join([*lines, word]))
    return texts
