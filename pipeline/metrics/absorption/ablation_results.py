"""From one SAE's ablated words to reported numbers, beside the projection rule on the same activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.absorption.ablation import Ablated
from pipeline.metrics.absorption.results import plan_of
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.common.controls import of_untrained
from pipeline.metrics.common.resampling import estimate, share
from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number, missing
from pipeline.numbers.table import Columns
from pipeline.stats.intervals import Sums
from pipeline.tasks.letters.ablation import AblationTask
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import LETTERS

_MEAN = "per letter, then mean over kept letters"
_METRICS = [
    Definition(
        "mean_ablation_absorption", "lower", "share", 1,
        "share of true-positive words absorbed by direct ablation (arXiv 2409.14507: main latents silent, "
        "the latent with the largest effect on the letter margin lowers it, has probe cosine >= 0.025 and "
        f"leads by ablation_gap logits), {_MEAN}; from at most ablation_words silent words",
    ),
    Definition(
        "ablation_projection_absorption", "lower", "share", 1,
        "share of the same words, on the same prompts, fully absorbed by the projection rule (SAEBench "
        f"0.6.0), {_MEAN}",
    ),
    Definition(
        "ablation_carrier", "lower", "share", 1,
        "of the words whose latents were ablated, the share absorbed by ablation, every word equal: carrier "
        "by the stricter rule (ours)",
    ),
    Definition(
        "ablation_agreement", "neither", "share", 1,
        "share of the ablated words on which ablation and projection rule give the same verdict (ours)",
        aggregate=False,
    ),
    Definition(
        "ablation_kappa", "neither", "Cohen's kappa", 1,
        "agreement of the two verdicts beyond chance: 0 is chance, 1 is full (Cohen 1960)", aggregate=False,
    ),
    Definition(
        "ablation_words_silent", "neither", "words", 1,
        "true-positive words of kept letters whose main latents are all silent on the ablation prompts",
        aggregate=False,
    ),
    Definition(
        "ablation_words_examined", "neither", "words", 1,
        "of them, the words whose latents were ablated: all, or ablation_words drawn letter by letter",
        aggregate=False,
    ),
    Definition(
        "ablation_model_accuracy", "neither", "share", 1,
        "share of words whose letter the model itself gives, of 26, on the ablation prompts",
        aggregate=False,
    ),
]  # fmt: skip

METRICS = [*_METRICS, of_untrained(_METRICS[0])]

ABLATION = "ablation.tsv"
TABLES: dict[str, Columns] = {
    ABLATION: {
        "word": str, "letter": str, "fold": int, "absorbed": int, "projected": int, "top_latent": int,
        "top_effect": float, "second_effect": float, "top_cosine": float,
    },
}  # fmt: skip


def values(
    found: Ablated, prompts: AblationTask, kept: Tensor, section: AbsorptionSection
) -> dict[str, Number]:
    """The metrics of one SAE, without those of the random SAE; `kept` (26,) bool."""
    examined = len(found.examined)
    agree = int((found.verdicts.absorbed == found.projected[found.examined]).sum())
    nothing = missing("no word has all its main latents silent, so none was ablated")
    scored, words = int(kept[found.letter].sum()), len(found.letter)
    right = round(float(prompts.facts["model_accuracy"]) * words)
    return {
        "mean_ablation_absorption": estimated(found, kept, section),
        "ablation_projection_absorption": _projected(found, kept, section),
        "ablation_carrier": share(int(found.verdicts.absorbed.sum()), examined) if examined else nothing,
        "ablation_agreement": share(agree, examined) if examined else nothing,
        "ablation_kappa": kappa(found.verdicts.absorbed, found.projected[found.examined])
        if examined
        else nothing,
        "ablation_words_silent": Number(float((found.silent & kept[found.letter]).sum()), scored),
        "ablation_words_examined": Number(float(examined), scored),
        "ablation_model_accuracy": share(right, words),
    }


def estimated(found: Ablated, kept: Tensor, section: AbsorptionSection) -> Number:
    """Per letter: share of its words that are silent times share of its examined words that are absorbed."""
    examined, absorbed = torch.zeros_like(found.silent), torch.zeros_like(found.silent)
    examined[found.examined] = True
    absorbed[found.examined] = found.verdicts.absorbed
    columns = {"n": torch.ones_like(found.silent), "silent": found.silent, "seen": examined, "hit": absorbed}

    def rate(total: Sums, letter: int) -> np.ndarray:
        silent, seen = total[f"silent{letter}"], total[f"seen{letter}"]
        taken = np.where(silent > 0, total[f"hit{letter}"] / np.where(seen > 0, seen, np.nan), 0.0)
        return silent * taken / total[f"n{letter}"]

    return _mean_over_letters(columns, rate, found, kept, section)


def rows(found: Ablated, task: LetterTask, prompts: AblationTask) -> list[dict[str, Any]]:
    """One row per ablated word, in the task's order."""
    verdicts = found.verdicts
    return [
        {
            "word": task.words[word].strip(), "letter": LETTERS[task.letter[word]],
            "fold": int(task.fold[word]), "absorbed": int(verdicts.absorbed[i]),
            "projected": int(found.projected[found.examined[i]]), "top_latent": int(verdicts.latent[i]),
            "top_effect": float(verdicts.effect[i]), "second_effect": float(verdicts.second[i]),
            "top_cosine": float(verdicts.cosine[i]),
        }
        for i, word in enumerate(prompts.word[found.examined].tolist())
    ]  # fmt: skip


def _projected(found: Ablated, kept: Tensor, section: AbsorptionSection) -> Number:
    columns = {"n": torch.ones_like(found.silent), "hit": found.projected}
    return _mean_over_letters(
        columns, lambda total, letter: total[f"hit{letter}"] / total[f"n{letter}"], found, kept, section
    )


def _mean_over_letters(
    columns: dict[str, Tensor], rate: Any, found: Ablated, kept: Tensor, section: AbsorptionSection
) -> Number:
    """The mean of `rate` over kept letters with words; bootstrap over words."""
    letters = [i for i in torch.unique(found.letter).tolist() if bool(kept[i])]
    if not letters:
        return missing("no kept letter has a word on the ablation prompts")
    sums: Sums = {
        f"{name}{i}": (column & (found.letter == i)).double().numpy()
        for i in letters
        for name, column in columns.items()
    }

    def statistic(total: Sums) -> np.ndarray:
        # a letter that a resample misses, or none of whose silent words it draws was seen, is left out
        return np.nanmean(np.stack([rate(total, i) for i in letters]), axis=0)

    return estimate(sums, statistic, int(kept[found.letter].sum()), plan_of(section))


def kappa(first: Tensor, second: Tensor) -> Number:
    """Cohen's kappa of two verdicts (S,) bool; missing where both say one thing only."""
    p, q = first.double().mean(), second.double().mean()
    observed, expected = (first == second).double().mean(), p * q + (1 - p) * (1 - q)
    if expected == 1:
        return missing("both rules give every ablated word the same verdict, so chance explains all of it")
    return Number(float((observed - expected) / (1 - expected)), len(first))
