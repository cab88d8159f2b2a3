"""Tokens as text that shows and never acts."""

from __future__ import annotations

from typing import Any

LONGEST = 24
"""Characters shown of one token."""


def word(tokenizer: Any, token: int) -> str:
    """A token as text in which control and invisible characters show as escapes, whole."""
    return repr(tokenizer.decode([token]))[1:-1].strip()


class Words:
    """The distinct tokens of one artefact as shown text, each once, numbered in order of first use."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._number: dict[int, int] = {}
        self.texts: list[str] = []

    def number(self, token: int) -> int:
        """The index in `texts` of `token`; a long one is cut."""
        if token not in self._number:
            shown = word(self._tokenizer, token)
            self._number[token] = len(self.texts)
            self.texts.append(shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…")
        return self._number[token]
