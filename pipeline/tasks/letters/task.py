"""The first-letter task on disk: `letters.safetensors` (activations, labels, probes) and `letters.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.tasks.common.disk import load_facts, load_tensors, save
from pipeline.tasks.letters.words import COUNT, LETTERS, begins, f1, out_of_fold

NAME, STAGE = "letters", "letter_task"
FIELDS = ("x", "letter", "fold", "scored", "x_scored", "weight", "bias")


@dataclass(frozen=True)
class LetterTask:
    """All of the first-letter task that no SAE changes; W words, S of them scored."""

    words: list[str]
    x: Tensor  # (W, d) float32: residual at the word, prompts with examples of its own fold
    letter: Tensor  # (W,) int64, 0 to 25
    fold: Tensor  # (W,) int64, 0 to 4: the split in which the word is a test word
    scored: Tensor  # (S,) int64: words that the probe of their fold gives to their letter
    x_scored: Tensor  # (S, d) float32: residual at those words, new prompts with examples of all words
    weight: Tensor  # (5, 26, d) float32: letter probes, one set per fold
    bias: Tensor  # (5, 26)
    facts: dict[str, Any]  # model, layer, counts, f1 and accuracy of the probes

    @property
    def logits(self) -> Tensor:
        """(W, 26): each word by its own fold's probe."""
        return out_of_fold(self.x, self.fold, self.weight, self.bias)

    @property
    def f1_probe(self) -> Tensor:
        """(26,): F1 of the letter probes on words that they were not fitted on."""
        return f1(self.logits > 0, begins(self.letter))


def probe_report(task: LetterTask) -> dict[str, Any]:
    """F1 per letter, macro accuracy (mean recall of the largest logit), and the words of each letter."""
    right = task.logits.argmax(-1) == task.letter
    counts = torch.bincount(task.letter, minlength=COUNT)
    hits = torch.bincount(task.letter[right], minlength=COUNT)
    present = counts > 0
    return {
        "f1_probe": dict(zip(LETTERS, task.f1_probe.tolist(), strict=True)),
        "macro_accuracy": float((hits[present] / counts[present]).mean()),
        "words_per_letter": dict(zip(LETTERS, counts.tolist(), strict=True)),
        "words_scored": len(task.scored),
    }


def save_letters(folder: Path, task: LetterTask) -> None:
    """Write a usable task."""
    facts = {"usable": True, "reason": None, "words": task.words, **task.facts, **probe_report(task)}
    save(folder, NAME, {name: getattr(task, name) for name in FIELDS}, facts)


def save_unusable(folder: Path, reason: str, facts: dict[str, Any]) -> None:
    """Write a task that cannot be measured, with its reason; `load_letters` gives the reason."""
    save(folder, NAME, {}, {"usable": False, "reason": reason, **facts})


def load_letters(folder: Path) -> LetterTask | str:
    """The task, or the reason why there is none; raises BadInput when the folder is absent or damaged."""
    facts = load_facts(folder, NAME, STAGE)
    if not facts.get("usable"):
        return str(facts.get("reason"))
    tensors = load_tensors(folder, NAME, STAGE, FIELDS)
    return LetterTask(words=facts["words"], facts=facts, **tensors)
