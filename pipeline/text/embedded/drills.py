"""Spelling drills: what makes first letters linear in the language model's residual stream.

Word-level tokens hide their spelling, so every word is drilled, each as often as any other. Pairs teach the
letters within few tokens, templates the prompt that the letter task asks.
"""

from __future__ import annotations

from random import Random

from pipeline.text.embedded.vocabulary import Vocabulary
from pipeline.text.embedded.writer import Document

PAIRS, TEMPLATES = 0.60, 0.93
"""Bounds of the shares of pairs and templates; the rest are lists of words of one letter."""


class Driller:
    """Writes drill documents."""

    def __init__(self, vocabulary: Vocabulary, rng: Random) -> None:
        self.uniform = rng.random
        ids = self._ids = vocabulary.ids
        self._words = vocabulary.words
        self._alike: dict[str, list[str]] = {}
        for word in self._words:
            self._alike.setdefault(word[0], []).append(word)
        self._first_letter = [ids["first"], ids["letter"], ids[":"]]
        self._has = [ids["has"], ids["the"], *self._first_letter]

    def drill(self) -> Document:
        """One drill document."""
        u = self.uniform()
        form = self._pairs if u < PAIRS else self._templates if u < TEMPLATES else self._list
        return Document("drill", form(), [])

    def _word(self) -> str:
        return self._words[int(self.uniform() * len(self._words))]

    def _letter(self, word: str) -> int:
        return self._ids[word[0].upper()]

    def _pairs(self) -> list[int]:
        """`first letter : lantern L , tiger T ,` with 12 to 36 pairs."""
        out, comma = list(self._first_letter), self._ids[","]
        for _ in range(12 + int(self.uniform() * 25)):
            word = self._word()
            out += [self._ids[word], self._letter(word), comma]
        return out

    def _templates(self) -> list[int]:
        """4 to 12 lines `lantern has the first letter : L`."""
        out: list[int] = []
        for _ in range(4 + int(self.uniform() * 9)):
            word = self._word()
            out += [self._ids[word], *self._has, self._letter(word), self._ids["\n"]]
        return out

    def _list(self) -> list[int]:
        """`words L : lantern lemon ...`, 12 to 36 words."""
        alike = self._alike[self._word()[0]]
        head = [self._ids["words"], self._letter(alike[0]), self._ids[":"]]
        drawn = [alike[int(self.uniform() * len(alike))] for _ in range(12 + int(self.uniform() * 25))]
        return head + [self._ids[word] for word in drawn]
