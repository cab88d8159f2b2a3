"""What absorption reports: its metrics, their headlines and its tables."""

from __future__ import annotations

from pipeline.metrics.common.controls import control, of_permuted, of_untrained
from pipeline.numbers.definition import Definition, Headline, Items
from pipeline.numbers.table import Columns

WORDS, PREDICTIONS = "words.tsv", "predictions.tsv"
"""The tables of items: the words scored, and what the one-latent probes say of every word."""

DIRECTION = "_random_direction"

_CAVEAT = "an untrained or too dense SAE scores well: read with letter_f1_k1, L0 and the controls"
_FRACTION = (
    "absorption fraction (SAEBench 0.6.0) of true-positive words, mean per letter, then over kept letters"
)
_FULL = (
    "share of true-positive words fully absorbed (SAEBench 0.6.0), per letter, then mean over kept letters"
)

_FRACTION_METRIC = Definition("mean_absorption_fraction", "lower", "share", 1, f"{_FRACTION}; {_CAVEAT}")
_FULL_METRIC = Definition("mean_full_absorption", "lower", "share", 1, f"{_FULL}; {_CAVEAT}")
_MISS_METRIC = Definition(
    "miss_rate", "lower", "share", 1,
    "share of true-positive words whose letter's main latents are all silent, per letter, then mean over "
    "kept letters (ours)",
    headline=Headline(
        "miss_rate", "letters missed", 40,
        items=Items(WORDS, "word", "words", {"main_silent": 1}, groups=("letter",), where="kept"),
    ),
)  # fmt: skip
_CARRIER_METRIC = Definition(
    "carrier", "lower", "share", 2,
    "share of missed words (miss_rate) whose letter one other latent carries (the rule of full absorption, "
    "SAEBench 0.6.0), minus the same words' share along random directions, each word's own, of equal "
    "projection on the word and on b_dec (ours); 0 is chance",
    headline=Headline(
        "carrier", "misses carried", 45, narrow=False,
        items=Items(
            WORDS, "word", "words", {"full_absorption": 1, "chance": -1}, {"main_silent": 1}, where="kept"
        ),
    ),
)  # fmt: skip
_F1_METRIC = Definition(
    "letter_f1_k1", "higher", "F1", 1,
    "F1 of the one-latent letter probes on words they were not fitted on, mean over kept letters",
    headline=Headline(
        "letter_f1", "letter F1, k=1", 60,
        items=Items(
            PREDICTIONS, "word", "words", {"both_k1": 2}, {"begins": 1, "predicted_k1": 1},
            groups=("letter",), where="kept",
        ),
    ),
)  # fmt: skip


def _along_random(metric: Definition) -> Definition:
    text = f"control: {metric.name} along random directions, signed to be positive (ours)"
    return control(metric, DIRECTION, text, "random directions", 3, spread=True)


METRICS = [
    _FRACTION_METRIC,
    _FULL_METRIC,
    _MISS_METRIC,
    _CARRIER_METRIC,
    _F1_METRIC,
    *(of(each) for of in (of_permuted, _along_random) for each in (_FRACTION_METRIC, _FULL_METRIC)),
    *map(of_untrained, (_FRACTION_METRIC, _FULL_METRIC, _MISS_METRIC, _CARRIER_METRIC, _F1_METRIC)),
    Definition(
        "carrier_chance", "neither", "share", 2,
        "what carrier takes off: the share of missed words that one latent carries along random directions",
    ),
    Definition(
        "mean_excess_absorption", "lower", "share", 2,
        "full absorption minus the same word's share along random directions, its own, of equal projection "
        "on the word and on b_dec, mean per letter, then over kept letters (ours): miss_rate times "
        "carrier by letter",
    ),
    Definition(
        "full_absorption_pooled", "lower", "share", 1,
        f"share of scored words of kept letters fully absorbed, every word equal (ours); {_CAVEAT}",
    ),
    Definition(
        "mean_split_features", "lower", "latents", 1,
        "latents of a letter's k-sparse probe, k grown while F1 rises by f1_jump (SAEBench 0.6.0), mean over "
        "kept letters; 1 is no splitting",
    ),
    Definition(
        "letters_kept", "neither", "letters", 1, "letters whose linear probe has F1 above min_probe_f1"
    ),
    Definition("letters_dropped", "neither", "letters", 1, "26 minus the letters kept", aggregate=False),
    Definition("words_scored", "neither", "words", 1, "true-positive words of kept letters", aggregate=False),
]  # fmt: skip

TABLES: dict[str, Columns] = {
    "letters.tsv": {
        "letter": str, "kept": int, "words": int, "f1_probe": float, "f1_k1": float, "f1_best": float,
        "split_features": int, "true_positives": int, "missed": float, "absorption_fraction": float,
        "full_absorption": float,
        "full_absorption_low": float, "full_absorption_high": float, "fully_absorbed": int,
        "absorption_fraction_shuffled_decoder": float, "full_absorption_shuffled_decoder": float,
    },
    WORDS: {
        "word": str, "letter": str, "fold": int, "kept": int, "absorption_fraction": float,
        "full_absorption": int, "main_silent": int, "chance": float, "projection": float,
        "main_projection": float, "top_latent": int,
    },
    PREDICTIONS: {
        "word": str, "letter": str, "fold": int, "kept": int, "begins": int, "predicted_k1": int,
        "both_k1": int,
    },
}  # fmt: skip
