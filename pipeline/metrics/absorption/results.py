"""From one SAE's absorption to reported numbers: values with intervals, rows per letter and per word."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.absorption.measure import Absorption, AbsorptionSection, Scores
from pipeline.metrics.common.number import Metric, Value, missing
from pipeline.stats.intervals import Sums, bootstrap, wilson
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import LETTERS

ENOUGH = 10
"""Words of a letter below which its five-fold probe is bound to fail: two to test on."""

_CAVEAT = "an untrained or too dense SAE scores well: read with letter_f1_k1, L0 and the controls"
_FRACTION = (
    "absorption fraction (SAEBench 0.6.0) of true-positive words, mean per letter, then over kept letters"
)
_FULL = (
    "share of true-positive words fully absorbed (SAEBench 0.6.0), per letter, then mean over kept letters"
)

METRICS = [
    Metric("mean_absorption_fraction", "lower", "share", 1, f"{_FRACTION}; {_CAVEAT}"),
    Metric("mean_full_absorption", "lower", "share", 1, f"{_FULL}; {_CAVEAT}"),
    Metric(
        "full_absorption_pooled", "lower", "share", 1,
        f"share of scored words of kept letters fully absorbed, every word equal (ours); {_CAVEAT}",
    ),
    Metric(
        "mean_split_features", "lower", "latents", 1,
        "latents of a letter's k-sparse probe, k grown while F1 rises by f1_jump (SAEBench 0.6.0), mean over "
        "kept letters; 1 is no splitting",
    ),
    Metric(
        "letter_f1_k1", "higher", "F1", 1,
        "F1 of the one-latent letter probes on words they were not fitted on, mean over kept letters",
    ),
    Metric("letters_kept", "neither", "letters", 1, "letters whose linear probe has F1 above min_probe_f1"),
    Metric("letters_dropped", "neither", "letters", 1, "26 minus the letters kept", aggregate=False),
    Metric("words_scored", "neither", "words", 1, "true-positive words of kept letters", aggregate=False),
    Metric(
        "mean_absorption_fraction_shuffled_decoder", "neither", "share", 1,
        "control: mean_absorption_fraction with the decoder's rows permuted, codes unchanged (ours)",
    ),
    Metric(
        "mean_full_absorption_shuffled_decoder", "neither", "share", 1,
        "control: mean_full_absorption with the decoder's rows permuted, codes unchanged (ours)",
    ),
    Metric(
        "mean_absorption_fraction_random_direction", "neither", "share", 1,
        "control: mean_absorption_fraction along random directions, signed to be positive (ours)",
    ),
    Metric(
        "mean_full_absorption_random_direction", "neither", "share", 1,
        "control: mean_full_absorption along random directions, signed to be positive (ours)",
    ),
    Metric(
        "mean_absorption_fraction_random_sae", "neither", "share", 1,
        "control: mean_absorption_fraction of an untrained TopK SAE of the same size at the same L0 (ours)",
    ),
    Metric(
        "mean_full_absorption_random_sae", "neither", "share", 1,
        "control: mean_full_absorption of an untrained TopK SAE of the same size at the same L0 (ours)",
    ),
    Metric(
        "letter_f1_k1_random_sae", "neither", "F1", 1,
        "control: letter_f1_k1 of an untrained TopK SAE of the same size at the same L0 (ours)",
    ),
]  # fmt: skip

_COUNTS = ("letters_kept", "letters_dropped", "words_scored")

LETTER_COLUMNS = [
    "letter", "kept", "words", "f1_probe", "f1_k1", "f1_best", "split_features", "true_positives",
    "absorption_fraction", "full_absorption", "full_absorption_low", "full_absorption_high", "fully_absorbed",
    "absorption_fraction_shuffled_decoder", "full_absorption_shuffled_decoder",
]  # fmt: skip

PREDICTION_COLUMNS = ["word", "letter", "fold", "kept", "predicted_k1"]

WORD_COLUMNS = [
    "word", "letter", "fold", "kept", "absorption_fraction", "full_absorption", "main_silent", "projection",
    "main_projection", "top_latent",
]  # fmt: skip


def kept_letters(task: LetterTask, section: AbsorptionSection) -> Tensor:
    """(26,) bool: letters whose linear probe's F1 is above the section's."""
    return task.f1_probe > section.min_probe_f1


def all_missing(reason: str) -> dict[str, Value]:
    """Every metric missing, for one reason."""
    return {metric.name: missing(reason) for metric in METRICS}


def too_few(task: LetterTask, section: AbsorptionSection) -> dict[str, Value] | None:
    """What to report when too few letters are kept (SAEBench reports nothing), else None."""
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
    return all_missing(reason) | _counts(task, kept)


def values(found: Absorption, task: LetterTask, section: AbsorptionSection) -> dict[str, Value]:
    """The metrics of one SAE, without those of the random SAE."""
    kept = kept_letters(task, section)
    letter = task.letter[task.scored]
    in_kept = kept[letter]
    items, absorbed = int(in_kept.sum()), int((found.scores.full & in_kept).sum())
    pooled = wilson(absorbed, items)
    split = found.splits.features[kept].double().mean()
    return {
        **_rates(found.scores, letter, kept, section, ""),
        **_rates(found.shuffled, letter, kept, section, "_shuffled_decoder"),
        **_rates(found.random_direction, letter, kept, section, "_random_direction"),
        "full_absorption_pooled": Value(absorbed / items, items, None, pooled.low, pooled.high),
        "mean_split_features": Value(float(split), int(kept.sum())),
        "letter_f1_k1": _f1_value(found.splits.predicted_k1, task.letter, kept, section),
        **_counts(task, kept),
    }


def random_values(found: Absorption, task: LetterTask, section: AbsorptionSection) -> dict[str, Value]:
    """The metrics of the random SAE."""
    measured = values(found, task, section)
    names = ("mean_absorption_fraction", "mean_full_absorption", "letter_f1_k1")
    return {f"{name}_random_sae": measured[name] for name in names}


def letter_rows(found: Absorption, task: LetterTask, section: AbsorptionSection) -> list[dict[str, Any]]:
    """One row per letter, its full absorption with a Wilson interval; no rates without true positives."""
    kept, letter, splits = kept_letters(task, section), task.letter[task.scored], found.splits
    rows = []
    for i, name in enumerate(LETTERS):
        mine = letter == i
        count = int(mine.sum())

        def rate(values: Tensor, mine: Tensor = mine, count: int = count) -> float | str:
            return float(values[mine].double().mean()) if count else ""

        absorbed = int(found.scores.full[mine].sum())
        bounds = wilson(absorbed, count) if count else None
        rows.append({
            "letter": name, "kept": int(kept[i]), "words": int((task.letter == i).sum()),
            "f1_probe": float(task.f1_probe[i]), "f1_k1": float(splits.f1_k1[i]),
            "f1_best": float(splits.f1_best[i]), "split_features": int(splits.features[i]),
            "true_positives": count, "absorption_fraction": rate(found.scores.fraction),
            "full_absorption": rate(found.scores.full),
            "full_absorption_low": bounds.low if bounds else "",
            "full_absorption_high": bounds.high if bounds else "", "fully_absorbed": absorbed,
            "absorption_fraction_shuffled_decoder": rate(found.shuffled.fraction),
            "full_absorption_shuffled_decoder": rate(found.shuffled.full),
        })  # fmt: skip
    return rows


def word_rows(found: Absorption, task: LetterTask, section: AbsorptionSection) -> list[dict[str, Any]]:
    """One row per scored word, in the task's order: the items of paired comparisons."""
    kept, scores = kept_letters(task, section), found.scores
    return [
        {
            "word": task.words[word].strip(), "letter": LETTERS[task.letter[word]],
            "fold": int(task.fold[word]), "kept": int(kept[task.letter[word]]),
            "absorption_fraction": float(scores.fraction[i]), "full_absorption": int(scores.full[i]),
            "main_silent": int(scores.main_silent[i]), "projection": float(scores.projection[i]),
            "main_projection": float(scores.main_projection[i]), "top_latent": int(scores.top_latent[i]),
        }
        for i, word in enumerate(task.scored.tolist())
    ]  # fmt: skip


def prediction_rows(found: Absorption, task: LetterTask, section: AbsorptionSection) -> list[dict[str, Any]]:
    """One row per word with the letters that the one-latent probes of its fold predict."""
    kept = kept_letters(task, section)
    return [
        {
            "word": word.strip(), "letter": LETTERS[letter], "fold": fold, "kept": int(kept[letter]),
            "predicted_k1": "".join(LETTERS[i] for i in torch.nonzero(predicted).flatten().tolist()),
        }
        for word, letter, fold, predicted in zip(
            task.words, task.letter.tolist(), task.fold.tolist(), found.splits.predicted_k1, strict=True
        )
    ]  # fmt: skip


def _rates(
    scores: Scores, letter: Tensor, kept: Tensor, section: AbsorptionSection, suffix: str
) -> dict[str, Value]:
    named = {"mean_absorption_fraction": scores.fraction, "mean_full_absorption": scores.full}
    return {
        f"{name}{suffix}": _mean_over_letters(each.double(), letter, kept, section)
        for name, each in named.items()
    }


def _mean_over_letters(value: Tensor, letter: Tensor, kept: Tensor, section: AbsorptionSection) -> Value:
    """Mean over kept letters of the mean over their words; bootstrap over words."""
    member = _membership(letter, kept)
    sums: Sums = {f"n{i}": m for i, m in enumerate(member)} | {
        f"s{i}": m * value.numpy() for i, m in enumerate(member)
    }

    def statistic(total: Sums) -> np.ndarray:
        rates = np.stack([total[f"s{i}"] / total[f"n{i}"] for i in range(len(member))])
        return np.nanmean(rates, axis=0)  # a letter that a resample misses is left out of it

    return _value(sums, statistic, int(kept[letter].sum()), section)


def _f1_value(predicted: Tensor, letter: Tensor, kept: Tensor, section: AbsorptionSection) -> Value:
    """Mean F1 over kept letters; bootstrap over words."""
    truth = (letter[:, None] == torch.arange(26))[:, kept].double().numpy()
    guess = predicted[:, kept].double().numpy()
    sums: Sums = {f"b{i}": column for i, column in enumerate((truth * guess).T)} | {
        f"a{i}": column for i, column in enumerate((truth + guess).T)
    }

    def statistic(total: Sums) -> np.ndarray:
        scores = np.stack([2 * total[f"b{i}"] / total[f"a{i}"] for i in range(truth.shape[1])])
        return np.nanmean(scores, axis=0)

    return _value(sums, statistic, len(letter), section)


def _value(sums: Sums, statistic: Any, items: int, section: AbsorptionSection) -> Value:
    point = float(statistic({name: column.sum(keepdims=True) for name, column in sums.items()})[0])
    interval = bootstrap(sums, statistic, section.resamples, section.seed)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Value(point, items, None, low, high)


def _membership(letter: Tensor, kept: Tensor) -> list[np.ndarray]:
    return [(letter == i).double().numpy() for i in torch.nonzero(kept).flatten().tolist()]


def _counts(task: LetterTask, kept: Tensor) -> dict[str, Value]:
    count, scored = int(kept.sum()), int(kept[task.letter[task.scored]].sum())
    found = dict(zip(_COUNTS, (count, 26 - count, scored), strict=True))
    return {name: Value(float(each), 26 if "letters" in name else scored) for name, each in found.items()}
