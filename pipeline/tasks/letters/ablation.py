"""Prompts on which latents can be ablated: the model must answer them, and from the word's own position.

Ablation-based absorption (arXiv 2409.14507) asks what a latent does to the letter that the model is about
to say. It means nothing where the model does not say it, or where the letter has left the word's
position before the SAE's layer. Both are properties of the model, so they are settled here, once for all
SAEs: of the two ways to ask for a letter (`FORMS`, `PAIRS`), the first that the model solves is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from pipeline.lm.core.site import Site
from pipeline.tasks.common.batches import batched
from pipeline.tasks.common.disk import load_facts, load_tensors, save
from pipeline.tasks.letters.section import LetterTaskSection
from pipeline.tasks.letters.task import STAGE, LetterTask
from pipeline.tasks.letters.words import (
    FORMS,
    LETTERS,
    PAIRS,
    Prompter,
    Word,
    choose_examples,
)

NAME = "ablation"
FIELDS = ("word", "ids", "x", "answer")


@dataclass(frozen=True)
class AblationTask:
    """A prompts of equal length T; each asks for the letter of one word, `offset` tokens from the end."""

    word: Tensor  # (A,) int64: index among the letter task's words
    ids: Tensor  # (A, T) int64
    x: Tensor  # (A, d) float32: residual at the word
    answer: Tensor  # (26,) int64: the token of each letter
    facts: dict[str, Any]  # line, offset, accuracies, weights_sha256, what was left out

    @property
    def offset(self) -> int:
        """The word's distance from the end of each prompt, 1 for the last token."""
        return int(self.facts["offset"])


@dataclass(frozen=True)
class CutModel:
    """The model cut at the SAE's layer."""

    to: Callable[[Tensor], Tensor]  # ids (B, T) to the residual stream (B, T, d)
    onward: Callable[[Tensor], Tensor]  # residual stream (B, T, d) to the last position's logits (B, V)

    @classmethod
    def of(cls, lm: Any, site: Site) -> CutModel:
        """Of a `LanguageModel`, cut at `site`."""
        return cls(
            lambda ids: lm.forward_to(ids, site),
            lambda residual: lm.forward_from(residual, site, last=1)[:, -1],
        )


def answers(prompter: Prompter, word: Word) -> Tensor | None:
    """(26,) int64: the token that each letter is in an answer; None unless they are 26 single tokens."""
    line = prompter.form.opening + word.text + prompter.form.ask
    start = prompter.encode(line)
    found = [prompter.encode(f"{line} {letter.upper()}") for letter in LETTERS]
    single = all(ids[:-1] == start and len(ids) == len(start) + 1 for ids in found)
    tokens = [ids[-1] for ids in found]
    return torch.tensor(tokens) if single and len(set(tokens)) == len(tokens) else None


def letter_margin(logits: Tensor, letter: Tensor, answer: Tensor) -> Tensor:
    """(B,): the right letter's logit minus the mean of the other 25 (2409.14507); `logits` (B, V)."""
    of_letters = logits[:, answer.to(logits.device)].double().cpu()
    own = of_letters.gather(1, letter[:, None])[:, 0]
    return own - (of_letters.sum(1) - own) / (len(LETTERS) - 1)


def build(
    prompter: Prompter, words: list[Word], task: LetterTask, model: CutModel, section: LetterTaskSection
) -> AblationTask | str:
    """The prompts of the task's scored words in the first form that the model solves, or why in none."""
    style = FORMS.index(prompter.form)
    reasons = []
    for form in (prompter.form, PAIRS[style]):
        found = _ask(replace(prompter, form=form), words, task, model, section)
        if isinstance(found, AblationTask):
            return found
        reasons.append(found)
    return "; ".join(reasons)


def _ask(
    prompter: Prompter, words: list[Word], task: LetterTask, model: CutModel, section: LetterTaskSection
) -> AblationTask | str:
    line = f"{prompter.form.opening.strip()} {{word}}{prompter.form.ask} X".strip()
    scored = task.scored.tolist()
    answer = answers(prompter, words[scored[0]]) if scored else None
    if answer is None:
        return f"in `{line}` the tokenizer does not write every letter as one token"
    rng = Random(f"ablation {section.seed}")
    everything = list(range(len(words)))
    chosen = choose_examples(words, scored, [everything] * len(scored), section.in_context, rng)
    prompts = [
        prompter.ids(words[i], [words[j] for j in each]) for i, each in zip(scored, chosen, strict=True)
    ]
    rows = _alike(prompter, words, scored, prompts)
    if not rows:
        return f"in `{line}` the tokenizer splits the words"
    which, ids = task.scored[rows], torch.tensor([prompts[row] for row in rows])
    letter = task.letter[which]
    x, right, without = _answered(ids, letter, answer, prompter.offset, model)
    if right < section.solved:
        return (
            f"the model gives the right letter to {right:.0%} of the words in `{line}`, "
            f"letter_task.solved asks for {section.solved:.0%}"
        )
    if without > right / 2:
        return (
            f"in `{line}` the model still gives {without:.0%} of the letters when the word's own residual is "
            "replaced by the mean: the letter has left that position before this layer"
        )
    seen = _probed(x, letter, task.fold[which], task) > 0
    facts = {
        "line": line, "offset": prompter.offset, "model_accuracy": right, "accuracy_without_word": without,
        "words_left_out_by_tokenizer": len(scored) - len(rows),
        "words_left_out_by_probe": int((~seen).sum()),
    }  # fmt: skip
    return AblationTask(which[seen], ids[seen], x[seen], answer, facts)


def _alike(prompter: Prompter, words: list[Word], which: list[int], prompts: list[list[int]]) -> list[int]:
    """The prompts, by place, that keep their word whole and have the most common length."""
    whole = [row for row, ids in enumerate(prompts) if prompter.finds(words[which[row]], ids)]
    lengths = [len(prompts[row]) for row in whole]
    usual = max(sorted(set(lengths)), key=lengths.count, default=0)
    return [row for row, length in zip(whole, lengths, strict=True) if length == usual]


def _answered(
    ids: Tensor, letter: Tensor, answer: Tensor, offset: int, model: CutModel
) -> tuple[Tensor, float, float]:
    """Residuals at the words (A, d), and the model's accuracy among 26 letters, with the words and without.

    Without: the residual at the word, and nothing else, is replaced by its mean over all words.
    """
    batches = batched(len(ids), ids.shape[1])
    x = torch.cat([model.to(ids[rows])[:, -offset].cpu() for rows in batches])
    mean = x.mean(0)
    right = torch.zeros(2, dtype=torch.int64)
    for rows in batches:
        residual = model.to(ids[rows])
        for place in range(2):
            said = model.onward(residual)[:, answer.to(residual.device)].argmax(-1).cpu()
            right[place] += (said == letter[rows]).sum()
            residual[:, -offset] = mean.to(residual.device)
    accuracy, without = (right / len(ids)).tolist()
    return x, accuracy, without


def _probed(x: Tensor, letter: Tensor, fold: Tensor, task: LetterTask) -> Tensor:
    """(A,): each word's logit for its own letter, by the probe of its own fold."""
    return (x * task.weight[fold, letter]).sum(-1) + task.bias[fold, letter]


def save_ablation(folder: Path, task: AblationTask | str, weights_sha256: str) -> None:
    """Write the prompts, or the reason why there are none, beside the letter task in `folder`."""
    if isinstance(task, str):
        save(folder, NAME, {}, {"available": False, "reason": task, "weights_sha256": weights_sha256})
        return
    facts = {"available": True, "reason": None, "weights_sha256": weights_sha256, **task.facts}
    save(folder, NAME, {name: getattr(task, name) for name in FIELDS}, facts)


def load_ablation(folder: Path) -> AblationTask | str:
    """The prompts, or the reason why there are none; raises BadInput when they are absent or damaged."""
    facts = load_facts(folder, NAME, STAGE)
    if not facts.get("available"):
        return str(facts.get("reason"))
    return AblationTask(**load_tensors(folder, NAME, STAGE, FIELDS), facts=facts)
