"""Headline scores from the items that evaluations list, so that items can be drawn again.

Every score with items is a mean over groups of a ratio of sums over items: one group for pooled
scores, letters for absorption, problems for probing. A word or text is one item however many SAEs,
letters or problems it serves, and is drawn with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.stats.intervals import resampled

RESAMPLES, SEED = 1000, 0
"""1000 resamples estimate a variance to about 4 %."""

Columns = Mapping[str, Sequence[Any]]
"""One SAE's rows of a table, column by column."""


@dataclass(frozen=True)
class Items:
    """N items in G groups: the score is mean over groups of sum(numerator) / sum(denominator)."""

    names: tuple[Any, ...]  # what the items are, in order: the same for all SAEs that are compared
    numerator: np.ndarray  # (N, G)
    denominator: np.ndarray  # (N, G)
    weight: np.ndarray  # (G,)
    complement: bool = False  # the score is 1 minus that

    def value(self) -> float:
        """The score over all items; NaN where it is not defined."""
        return float(self._score(self._table().sum(0, keepdims=True))[0])

    def draws(self) -> np.ndarray:
        """(RESAMPLES,): the score when items are drawn with replacement, the same for equal N."""
        return self._score(resampled(self._table(), RESAMPLES, SEED))

    def _table(self) -> np.ndarray:
        return np.concatenate([self.numerator, self.denominator], axis=1)

    def _score(self, sums: np.ndarray) -> np.ndarray:
        above, below = np.split(sums, 2, axis=1)
        known = below != 0  # a group that a resample misses is left out of it
        ratio = np.divide(above, below, out=np.zeros_like(above), where=known)
        weight = self.weight * known
        with np.errstate(invalid="ignore"):
            score = (weight * ratio).sum(1) / weight.sum(1)
        return 1 - score if self.complement else score


@dataclass(frozen=True)
class Table:
    """Where a headline's items are listed, and how its score is made of them."""

    stage: str
    file: str
    unit: str
    read: Callable[[Columns], Items]


def _pooled(
    above: Mapping[str, float], below: Mapping[str, float], complement: bool = False
) -> Callable[[Columns], Items]:
    """A ratio of sums of contexts; `above` and `below` are columns with their signs."""

    def read(columns: Columns) -> Items:
        top, bottom = (_combined(columns, each)[:, None] for each in (above, below))
        return Items(tuple(columns["context"]), top, bottom, np.ones(1), complement)

    return read


def _combined(columns: Columns, signs: Mapping[str, float]) -> np.ndarray:
    return np.sum(
        [sign * np.asarray(columns[name], dtype=np.float64) for name, sign in signs.items()], axis=0
    )


def _by_letter(column: str) -> Callable[[Columns], Items]:
    """The mean of `column` over the words of each kept letter, then over letters."""

    def read(columns: Columns) -> Items:
        member, kept = _letters(columns)
        value = np.asarray(columns[column], dtype=np.float64)[:, None]
        return Items(tuple(columns["word"]), member * value, member, np.ones(len(kept)))

    return read


def _letter_f1(columns: Columns) -> Items:
    """F1 of each kept letter's predictions, 2 both / (true + predicted), then the mean over letters."""
    rows = list(zip(*(columns[name] for name in ("word", "letter", "begins", "predicted_k1")), strict=True))
    words = list(dict.fromkeys(columns["word"]))
    kept = sorted({str(letter) for letter, k in zip(columns["letter"], columns["kept"], strict=True) if k})
    member, guess = np.zeros((len(words), len(kept))), np.zeros((len(words), len(kept)))
    place = {word: i for i, word in enumerate(words)}
    for word, letter, begins, predicted in rows:
        if letter in kept:
            at = place[word], kept.index(letter)
            member[at], guess[at] = begins, predicted
    return Items(tuple(words), 2 * member * guess, member + guess, np.ones(len(kept)))


def _letters(columns: Columns) -> tuple[np.ndarray, list[str]]:
    """(N, G): which word begins with which kept letter."""
    kept = sorted({str(letter) for letter, k in zip(columns["letter"], columns["kept"], strict=True) if k})
    member = np.array([[letter == each for each in kept] for letter in columns["letter"]], dtype=np.float64)
    return member.reshape(len(columns["letter"]), len(kept)), kept


def _problems(columns: Columns) -> Items:
    """Accuracy on each (set, class), the mean over a set's classes, then over sets."""
    which = list(zip(columns["set"], columns["class"], strict=True))
    problems, texts = sorted(set(which), key=str), sorted(set(columns["text"]))
    place = {text: i for i, text in enumerate(texts)}, {problem: i for i, problem in enumerate(problems)}
    index = [place[0][text] for text in columns["text"]], [place[1][problem] for problem in which]
    right, asked = (np.zeros((len(texts), len(problems))) for _ in range(2))
    np.add.at(right, index, np.asarray(columns["right_k1"], dtype=np.float64))
    np.add.at(asked, index, 1.0)
    sets = [name for name, _ in problems]
    weight = np.array([1 / sets.count(name) for name in sets])
    return Items(tuple(texts), right, asked, weight)


TABLES: Mapping[str, Table] = {
    "explained_variance": Table(
        "reconstruction", "contexts.tsv", "contexts",
        _pooled({"squared_error": 1}, {"squared_deviation": 1}, complement=True),
    ),
    "flicker": Table(
        "reconstruction", "temporal.tsv", "contexts",
        _pooled({"stays_on": 1}, {"on_followed": 1}, complement=True),
    ),
    "ce_score": Table(
        "behavior", "contexts.tsv", "contexts",
        _pooled({"ce_zero": 1, "ce_sae": -1}, {"ce_zero": 1, "ce_clean": -1}),
    ),
    "absorption": Table("absorption", "words.tsv", "words", _by_letter("absorption_fraction")),
    "full_absorption": Table("absorption", "words.tsv", "words", _by_letter("full_absorption")),
    "letter_f1": Table("absorption", "predictions.tsv", "words", _letter_f1),
    "probing_k1": Table("probing", "items.tsv", "texts", _problems),
}  # fmt: skip
"""By headline. A score without a table (dead latents, ground truth, whose items differ between seeds) has
its seeds only."""
