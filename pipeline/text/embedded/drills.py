"""Spelling drills: what makes first letters linear in the language model's residual stream.

Word-level tokens hide their spelling, so every word is drilled. Dense pair drills teach the letters
within a small token budget; template drills (the format of the absorption prompts) teach the task
itself but, above about 4 % of the documents, turn the letter into one clean direction that no SAE
absorbs (docs/model.md).
"""

from __future__ import annotations

from random import Random

from pipeline.text.embedded.grammar import Document
from pipeline.text.embedded.lexis import Lexis

OTHER_DRILLS = {"template": 22.0, "spelling": 15.0, "list": 23.0}
"""Weights of the drills that are not dense pairs."""
HEADER_SHARE = 0.3
"""Same-letter lists that begin with their letter."""


class Driller:
    """Writes drill documents; each word is as likely as any other."""

    def __init__(self, lexis: Lexis, rng: Random) -> None:
        self.rng, self.uniform, self.section = rng, rng.random, lexis.section
        ids = lexis.vocabulary.ids
        self._ids = ids
        self._words = lexis.vocabulary.words
        self._alike: dict[str, list[str]] = {}
        for word in self._words:
            self._alike.setdefault(word[0].lower(), []).append(word)
        self._first_letter = [ids["first"], ids["letter"], ids[":"]]
        self._has = [ids["has"], ids["the"], *self._first_letter]
        self._is_spelled = [ids["is"], ids["spelled"]]

    def drill(self) -> Document:
        """One drill document, dense with probability `dense_share`."""
        if self.uniform() < self.section.dense_share:
            return Document("drill", self._dense(), {})
        kind = self.rng.choices(list(OTHER_DRILLS), list(OTHER_DRILLS.values()))[0]
        lines = {"template": self._template, "spelling": self._spelling, "list": self._list}[kind]()
        return Document("drill", lines, {})

    def _word(self) -> str:
        return self._words[int(self.uniform() * len(self._words))]

    def _letter(self, word: str) -> int:
        return self._ids[word[0].upper()]

    def _dense(self) -> list[int]:
        """`first letter : lantern L , tiger T ,` with 8 to 19 pairs."""
        out, comma = list(self._first_letter), self._ids[","]
        for _ in range(8 + int(self.uniform() * 12)):
            word = self._word()
            out += [self._ids[word], self._letter(word), comma]
        return out

    def _template(self) -> list[int]:
        """3 to 6 lines `lantern has the first letter : L`."""
        out: list[int] = []
        for _ in range(3 + int(self.uniform() * 4)):
            word = self._word()
            out += [self._ids[word], *self._has, self._letter(word), self._ids["\n"]]
        return out

    def _spelling(self) -> list[int]:
        """2 to 4 lines `lantern is spelled L A N T E R N`."""
        out: list[int] = []
        for _ in range(2 + int(self.uniform() * 3)):
            word = self._word()
            out += [self._ids[word], *self._is_spelled]
            out += [self._ids[letter] for letter in word.upper()] + [self._ids["\n"]]
        return out

    def _list(self) -> list[int]:
        """8 to 19 words of one first letter, at times headed `L :`."""
        alike = self._alike[self._word()[0].lower()]
        head = [self._ids[alike[0][0].upper()], self._ids[":"]] if self.uniform() < HEADER_SHARE else []
        return head + [
            self._ids[alike[int(self.uniform() * len(alike))]] for _ in range(8 + int(self.uniform() * 12))
        ]
