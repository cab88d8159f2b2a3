"""The columns of the tables under reports/tables, with their types: for who writes and who reads them."""

from __future__ import annotations

from pipeline.numbers.table import Columns

SCORES: Columns = {
    "label": str, "run": str, "target": float, "seed": int, "stage": str, "metric": str, "value": float,
    "low": float, "high": float, "items": int, "reason": str,
}  # fmt: skip
SUMMARY: Columns = {
    "label": str, "run": str, "target": float, "stage": str, "metric": str, "better": str, "unit": str,
    "version": int, "mean": float, "low": float, "high": float, "sd": float, "seeds": int, "of": int,
    "items": int, "reason": str, "on_target": int, "interval_low": float, "interval_high": float,
}  # fmt: skip
LOG: Columns = {
    "step": int, "tokens": int, "loss": float, "reconstruction": float, "explained_variance": float,
    "l0": float, "dead": int, "coefficient": float,
}  # fmt: skip
"""What every training.tsv has; a method's own terms stand there too."""
TRAINING: Columns = {"curve": str, "label": str, "run": str, "target": float, "seed": int, **LOG}
LETTERS: Columns = {
    "label": str, "run": str, "target": float, "letter": str, "seeds": int, "words": int, "fraction": float,
    "full": float,
}  # fmt: skip
PROBING: Columns = {
    "label": str, "run": str, "target": float, "seed": int, "set": str, "class": str, "k": int,
    "accuracy": float, "raw_neurons": float, "raw_dense": float,
}  # fmt: skip
STABILITY: Columns = {
    "label": str, "run": str, "target": float, "seed": int, "rate": float, "latents": int, "cosine": float,
    "stable": float,
}  # fmt: skip
PAIRS: Columns = {
    "a": str, "b": str, "target": float, "stage": str, "metric": str, "better": str, "value_a": float,
    "value_b": float, "difference": float, "low": float, "high": float, "p": float, "p_holm": float,
    "margin": float, "p_equal": float, "p_equal_holm": float, "verdict": str,
    "minimum_detectable": float, "seeds": int, "items": int, "error": float, "df": float,
    "l0_a": float, "l0_b": float, "how_a": str, "how_b": str, "l0_allowance": float, "reason": str,
}  # fmt: skip
PLANNED: Columns = {"source": str, "tests": int, **PAIRS}
"""The comparisons named in advance: `a` is the row that is judged, `tests` how many are judged together."""
CURVES: Columns = {
    "label": str, "run": str, "target": float, "stage": str, "metric": str, "better": str, "l0": float,
    "value": float, "low": float, "high": float, "seeds": int, "of": int, "matched_l0": float,
    "matched": float, "matched_low": float, "matched_high": float, "interval_low": float,
    "interval_high": float, "items": int, "how": str, "reason": str,
}  # fmt: skip
RANKING: Columns = {
    "proxy": str, "exact": str, "target": str, "rho": float, "low": float, "high": float, "saes": int,
    "runs": int, "reason": str,
}  # fmt: skip
