"""The first-letter task: words of a vocabulary, their prompts, and linear probes for their first letter.

SAEBench 0.6.0 (`evals/absorption`: vocab.py, prompting.py, probing.py), with these differences, each for
a reason: words are sorted by token id and everything random is seeded (SAEBench's order comes from a
hash map); tokens of one letter are left out (they are the answers, not words); the 80/20 split is made
per letter, so that a rare letter has words on both sides, and is used five times, each fifth being
the test words once (cross-fitting: every word is scored by probes that never saw it, five times the
words); it never parts the forms of one word (` the`, `The`); the probe's objective is minimised exactly
instead of by 50 epochs of Adam.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from pipeline.stats.logistic import fit_shared

LETTERS = "abcdefghijklmnopqrstuvwxyz"
COUNT = len(LETTERS)
FOLDS = 5
"""Each word is a test word in one of five 80/20 splits."""

PROBE_RIDGE = 26e-4
"""SAEBench's weight decay 1e-4 of a loss averaged over 26 outputs, for the loss of one output."""


@dataclass(frozen=True)
class Word:
    """A token that is a word: its string as the tokenizer writes it (a leading space kept)."""

    token: int
    text: str

    @property
    def spelling(self) -> str:
        """What all forms of one word share: `lantern` of ` lantern`, `Lantern` and ` LANTERN`."""
        return self.text.strip().lower()

    @property
    def letter(self) -> int:
        """0 to 25."""
        return LETTERS.index(self.spelling[0])


@dataclass(frozen=True)
class Form:
    """How a prompt is written: `opening`, then lines `{word}` + `ask` + ` X` joined by `separator`."""

    opening: str
    ask: str
    separator: str


FORMS = (
    Form("\n", " has the first letter:", "\n"),
    Form(" \n ", " has the first letter :", " \n "),
)
"""SAEBench's text, and the same for tokenizers that only split at blanks."""

PAIRS = (Form("first letter:", "", ","), Form("first letter : ", "", " , "))
"""The same question asked by pairs of word and letter, to each of `FORMS`: the answer follows the word."""


def alphabetic(text: str) -> bool:
    """Whether a token's text is a word: two or more of A-Z and a-z after at most one leading space."""
    word = text.removeprefix(" ")
    return len(word) > 1 and word.isascii() and word.isalpha()


def token_text(tokenizer: Any, token: str) -> str:
    """A token's string with its leading space (sentencepiece decoders drop it: SAEBench issue 68)."""
    text: str = tokenizer.convert_tokens_to_string([token])
    return " " + text if token.startswith("▁") and not text.startswith(" ") else text


def vocabulary(tokenizer: Any, special_ids: Sequence[int]) -> list[Word]:
    """Every token that is a word, by token id."""
    special = set(special_ids)
    found = [
        Word(index, token_text(tokenizer, token))
        for token, index in tokenizer.get_vocab().items()
        if index not in special
    ]
    return sorted((word for word in found if alphabetic(word.text)), key=lambda word: word.token)


def limited(words: list[Word], limit: int, seed: int) -> list[Word]:
    """At most `limit` words, chosen by `seed`, still in token order."""
    if len(words) <= limit:
        return words
    return sorted(Random(f"words {seed}").sample(words, limit), key=lambda word: word.token)


def folds(words: list[Word], seed: int) -> list[int]:
    """The fold, 0 to 4, in which each word is a test word: shuffled and dealt out within each letter.

    All forms of a word share a fold: else a probe would be tested on words that it was fitted on.
    """
    rng, found, dealt = Random(f"folds {seed}"), dict[str, int](), 0
    for letter in range(COUNT):
        members = list(dict.fromkeys(word.spelling for word in words if word.letter == letter))
        for spelling in rng.sample(members, len(members)):
            # dealing goes on from letter to letter, which keeps the folds equally large
            found[spelling], dealt = dealt % FOLDS, dealt + 1
    return [found[word.spelling] for word in words]


@dataclass(frozen=True)
class Prompter:
    """Writes and tokenizes prompts; `encode` gives a text's token ids without special tokens."""

    encode: Callable[[str], list[int]]
    bos: int
    form: Form

    @classmethod
    def of(cls, tokenizer: Any, bos: int) -> Prompter:
        """With the form that has the fewest unknown tokens; SAEBench's when there is no difference."""

        def encode(text: str) -> list[int]:
            ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
            return ids

        def unknown(form: Form) -> int:
            line = form.opening + "the" + form.ask + " T"
            return 0 if tokenizer.unk_token_id is None else encode(line).count(tokenizer.unk_token_id)

        return cls(encode, bos, min(FORMS, key=unknown))

    def ids(self, word: Word, examples: Sequence[Word]) -> list[int]:
        """BOS, one line per example with its answer, and the word's line up to the answer."""
        lines = [f"{each.text}{self.form.ask} {LETTERS[each.letter].upper()}" for each in examples]
        text = self.form.opening + self.form.separator.join([*lines, word.text + self.form.ask])
        return [self.bos, *self.encode(text)]

    @property
    def offset(self) -> int:
        """The word's distance from the end of a prompt: the tokens of the rest of its line, plus one."""
        return len(self.encode(self.form.ask)) + 1

    def finds(self, word: Word, ids: list[int]) -> bool:
        """Whether the word's own token stands where it is read."""
        return len(ids) >= self.offset and ids[-self.offset] == word.token

    def readable(self, words: list[Word]) -> list[Word]:
        """The words that stay one token in a prompt."""
        return [word for word in words if self.finds(word, self.ids(word, [word]))]


def choose_examples(
    words: list[Word], which: list[int], pools: list[list[int]], count: int, rng: Random
) -> list[list[int]]:
    """Per word of `which`, `count` words of its pool, by `rng`; which, pool and answer are places in `words`.

    No form of the word itself is among them: its line would give the answer.
    """
    forms = Counter(word.spelling for word in words)
    chosen = []
    for i, pool in zip(which, pools, strict=True):
        own = words[i].spelling
        drawn = rng.sample(pool, count + forms[own])
        chosen.append([j for j in drawn if words[j].spelling != own][:count])
    return chosen


def fold_pools(fold: list[int]) -> list[list[int]]:
    """Per word, the words of its own fold.

    Examples from there alone keep every split clean at once: training prompts never show a test word,
    nor test prompts a training word.
    """
    members = [[i for i, other in enumerate(fold) if other == f] for f in range(FOLDS)]
    return [members[f] for f in fold]


def unusable(words: list[Word], in_context: int) -> str | None:
    """Why the words are too few for the task, or None."""
    needed, found = FOLDS * (in_context + 1) + COUNT, len({word.spelling for word in words})
    if found < needed:
        return f"the tokenizer has {found} whole words, the first-letter task needs {needed}"
    letters = len({word.letter for word in words})
    return None if letters >= 2 else f"the tokenizer's words have {letters} first letter, two are needed"


def fit_probes(x: Tensor, letter: Tensor, fold: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (5, 26, d) and biases (5, 26) float32 of the letter probes, each fitted on four folds.

    `x` (W, d), `letter` and `fold` (W,) int64. Per letter: mean binary cross-entropy with positives
    weighted by negatives/positives, plus 26e-4 / 2 (|w|^2 + b^2): SAEBench's objective, minimised. A
    letter without training words gets a zero probe, which predicts nothing.
    """
    weights, biases = [], []
    y = begins(letter).T.contiguous()
    for f in range(FOLDS):
        train = fold != f
        ups = (y & train).sum(-1, keepdim=True)
        weight = torch.where(y, (train.sum() - ups) / ups.clamp_min(1), 1.0) * train / train.sum()
        w, b = fit_shared(x, y, weight * (ups > 0), PROBE_RIDGE, PROBE_RIDGE)
        weights.append(w.float())
        biases.append(b.float())
    return torch.stack(weights), torch.stack(biases)


def out_of_fold(x: Tensor, fold: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(W, 26) logits of each word by the probe of its own fold, which never saw it."""
    logits = torch.einsum("fld,wd->wfl", weight, x) + bias
    return logits[torch.arange(len(x), device=x.device), fold]


def begins(letter: Tensor) -> Tensor:
    """(W, 26) bool: which letter each word begins with, from its number `letter` (W,)."""
    return letter[:, None] == torch.arange(COUNT, device=letter.device)


def f1(predicted: Tensor, truth: Tensor) -> Tensor:
    """F1 (P,) float64 per column of `predicted` against `truth`, both (W, P) bool; 0 without positives."""
    both = (predicted & truth).sum(0).double()
    return 2 * both / (predicted.sum(0) + truth.sum(0)).clamp_min(1)
