"""From one SAE's absorption to reported numbers: values with intervals, rows per letter and per word."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.absorption.measure import Absorption
from pipeline.metrics.absorption.metrics import DIRECTION, PREDICTIONS, WORDS
from pipeline.metrics.absorption.scoring import Scores
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.common.controls import PERMUTED
from pipeline.metrics.common.resampling import Resampling, estimate, ratio, share
from pipeline.numbers.number import Number
from pipeline.stats.intervals import Sums, wilson
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import COUNT, LETTERS, begins

Rows = list[dict[str, Any]]

ENOUGH = 10
"""Words of a letter below which its five-fold probe is bound to fail: two to test on."""

_COUNTS = ("letters_kept", "letters_dropped", "words_scored")


def tables(found: Absorption, task: LetterTask, section: AbsorptionSection) -> dict[str, Rows]:
    """The rows of each table."""
    return {
        "letters.tsv": letter_rows(found, task, section),
        WORDS: word_rows(found, task, section),
        PREDICTIONS: prediction_rows(found, task, section),
    }


def kept_letters(task: LetterTask, section: AbsorptionSection) -> Tensor:
    """(26,) bool: letters whose linear probe's F1 is above the section's."""
    return task.f1_probe > section.min_probe_f1


def too_few(task: LetterTask, section: AbsorptionSection) -> tuple[dict[str, Number], str] | None:
    """What is known, and why no more, when too few letters are kept (SAEBench reports nothing); else None."""
    kept = kept_letters(task, section)
    count = int(kept.sum())
    if count >= section.min_letters:
        return None
    reason = (
        f"{count} letters have a linear probe with F1 above {section.min_probe_f1:g}, "
        f"absorption.min_letters asks for {section.min_letters}"
    )
    rich = int((torch.bincount(task.letter, minlength=len(LETTERS)) >= ENOUGH).sum())
    if rich < section.min_letters:
        words = len(task.words)
        reason += f": too few whole words, {words} in the vocabulary, {ENOUGH} or more for {rich} letters"
    return _counts(task, kept), reason


def values(found: Absorption, task: LetterTask, section: AbsorptionSection) -> dict[str, Number]:
    """The metrics of one SAE, without those of the random SAE."""
    kept = kept_letters(task, section)
    letter = task.letter[task.scored]
    in_kept = kept[letter]
    items, absorbed = int(in_kept.sum()), int((found.scores.full & in_kept).sum())
    split = found.splits.features[kept].double().mean()
    return {
        **_rates(found.scores, letter, kept, section, ""),
        **_rates(found.shuffled, letter, kept, section, PERMUTED),
        **_rates(found.random_direction, letter, kept, section, DIRECTION),
        **_missed(found, letter, kept, section),
        "full_absorption_pooled": share(absorbed, items),
        "mean_split_features": Number(float(split), int(kept.sum())),
        "letter_f1_k1": _f1_value(found.splits.predicted_k1, task.letter, kept, section),
        **_counts(task, kept),
    }


def letter_rows(found: Absorption, task: LetterTask, section: AbsorptionSection) -> Rows:
    """One row per letter, its full absorption with a Wilson interval; no rates without true positives."""
    kept, letter, splits = kept_letters(task, section), task.letter[task.scored], found.splits
    rows = []
    for i, name in enumerate(LETTERS):
        mine = letter == i
        count = int(mine.sum())

        def rate(values: Tensor, mine: Tensor = mine, count: int = count) -> float | None:
            return float(values[mine].double().mean()) if count else None

        absorbed = int(found.scores.full[mine].sum())
        bounds = wilson(absorbed, count) if count else None
        rows.append({
            "letter": name, "kept": int(kept[i]), "words": int((task.letter == i).sum()),
            "f1_probe": float(task.f1_probe[i]), "f1_k1": float(splits.f1_k1[i]),
            "f1_best": float(splits.f1_best[i]), "split_features": int(splits.features[i]),
            "true_positives": count, "missed": rate(found.scores.main_silent),
            "absorption_fraction": rate(found.scores.fraction),
            "full_absorption": rate(found.scores.full),
            "full_absorption_low": bounds.low if bounds else None,
            "full_absorption_high": bounds.high if bounds else None, "fully_absorbed": absorbed,
            "absorption_fraction_shuffled_decoder": rate(found.shuffled.fraction),
            "full_absorption_shuffled_decoder": rate(found.shuffled.full),
        })  # fmt: skip
    return rows


def word_rows(found: Absorption, task: LetterTask, section: AbsorptionSection) -> Rows:
    """One row per scored word, in the task's order: the items of paired comparisons."""
    kept, scores = kept_letters(task, section), found.scores
    return [
        {
            "word": task.words[word].strip(), "letter": LETTERS[task.letter[word]],
            "fold": int(task.fold[word]), "kept": int(kept[task.letter[word]]),
            "absorption_fraction": float(scores.fraction[i]), "full_absorption": int(scores.full[i]),
            "main_silent": int(scores.main_silent[i]), "chance": float(found.chance[i]),
            "projection": float(scores.projection[i]),
            "main_projection": float(scores.main_projection[i]), "top_latent": int(scores.top_latent[i]),
        }
        for i, word in enumerate(task.scored.tolist())
    ]  # fmt: skip


def prediction_rows(found: Absorption, task: LetterTask, section: AbsorptionSection) -> Rows:
    """Per word a row for its own letter, then one for each other letter that its fold's probes predict."""
    kept, rows = kept_letters(task, section), []
    for word, letter, fold, predicted in zip(
        task.words, task.letter.tolist(), task.fold.tolist(), found.splits.predicted_k1, strict=True
    ):
        said = torch.nonzero(predicted).flatten().tolist()
        for each in (letter, *(other for other in said if other != letter)):
            own, yes = int(each == letter), int(each in said)
            rows.append({
                "word": word.strip(), "letter": LETTERS[each], "fold": fold, "kept": int(kept[each]),
                "begins": own, "predicted_k1": yes, "both_k1": own * yes,
            })  # fmt: skip
    return rows


def plan_of(section: AbsorptionSection) -> Resampling:
    """How the section draws intervals."""
    return Resampling(section.resamples, section.seed)


def _rates(
    scores: Scores, letter: Tensor, kept: Tensor, section: AbsorptionSection, suffix: str
) -> dict[str, Number]:
    named = {"mean_absorption_fraction": scores.fraction, "mean_full_absorption": scores.full}
    return {
        f"{name}{suffix}": _mean_over_letters(each.double(), letter, kept, section)
        for name, each in named.items()
    }


def _missed(found: Absorption, letter: Tensor, kept: Tensor, section: AbsorptionSection) -> dict[str, Number]:
    """How many words are missed, and how much of that another latent carries."""
    silent, excess = found.scores.main_silent, found.scores.full.double() - found.chance
    missed = silent & kept[letter]
    return {
        "miss_rate": _mean_over_letters(silent.double(), letter, kept, section),
        "mean_excess_absorption": _mean_over_letters(excess, letter, kept, section),
        "carrier": _over(missed, excess, section),
        "carrier_chance": _over(missed, found.chance, section),
    }


def _over(missed: Tensor, value: Tensor, section: AbsorptionSection) -> Number:
    """The mean of `value` (S,) over the `missed` words; bootstrap over all words."""
    sums: Sums = {"sum": (missed * value).numpy(), "missed": missed.double().numpy()}
    none = "no word has all its main latents silent: there is nothing to carry"
    return estimate(sums, ratio("sum", "missed"), int(missed.sum()), plan_of(section), none)


def _mean_over_letters(value: Tensor, letter: Tensor, kept: Tensor, section: AbsorptionSection) -> Number:
    """Mean over kept letters of the mean over their words; bootstrap over words."""
    member = _membership(letter, kept)
    sums: Sums = {f"n{i}": m for i, m in enumerate(member)} | {
        f"s{i}": m * value.numpy() for i, m in enumerate(member)
    }

    def statistic(total: Sums) -> np.ndarray:
        rates = np.stack([total[f"s{i}"] / total[f"n{i}"] for i in range(len(member))])
        return np.nanmean(rates, axis=0)  # a letter that a resample misses is left out of it

    return estimate(sums, statistic, int(kept[letter].sum()), plan_of(section))


def _f1_value(predicted: Tensor, letter: Tensor, kept: Tensor, section: AbsorptionSection) -> Number:
    """Mean F1 over kept letters; bootstrap over words."""
    truth = begins(letter)[:, kept].double().numpy()
    guess = predicted[:, kept].double().numpy()
    sums: Sums = {f"b{i}": column for i, column in enumerate((truth * guess).T)} | {
        f"a{i}": column for i, column in enumerate((truth + guess).T)
    }

    def statistic(total: Sums) -> np.ndarray:
        scores = np.stack([2 * total[f"b{i}"] / total[f"a{i}"] for i in range(truth.shape[1])])
        return np.nanmean(scores, axis=0)

    return estimate(sums, statistic, len(letter), plan_of(section))


def _membership(letter: Tensor, kept: Tensor) -> list[np.ndarray]:
    return [(letter == i).double().numpy() for i in torch.nonzero(kept).flatten().tolist()]


def _counts(task: LetterTask, kept: Tensor) -> dict[str, Number]:
    count, scored = int(kept.sum()), int(kept[task.letter[task.scored]].sum())
    found = dict(zip(_COUNTS, (count, COUNT - count, scored), strict=True))
    return {name: Number(float(each), COUNT if "letters" in name else scored) for name, each in found.items()}
