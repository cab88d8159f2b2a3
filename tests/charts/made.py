"""Made-up tables as compare writes them: two methods and a control, two L0 targets, two seeds."""

from __future__ import annotations

from typing import Any

import pandas as pd

COLUMNS: list[dict[str, Any]] = [
    {"title": title, "better": better, "source": source, "stage": stage, "metric": metric}
    for title, better, source, stage, metric in (
        ("explained variance", "higher", "text", "reconstruction", "explained_variance"),
        ("dead share", "lower", "text", "reconstruction", "dead_share"),
        ("recovery", "higher", "truth", "ground_truth", "recovery_mmcs"),
    )
]
LABELS = ("standard", "standard (pairs)", "topk")
TARGETS = (4.0, 16.0)


def tables() -> dict[str, pd.DataFrame]:
    """The tables that charts are drawn from."""
    return {
        "summary": summary(), "training": training(), "letters": letters(), "probing": probing(),
        "stability": stability(),
    }  # fmt: skip


def summary() -> pd.DataFrame:
    """Scores, L0 and persistence of every run, the L0 on its target."""
    scores = [(column["stage"], column["metric"]) for column in COLUMNS]
    steady = [("reconstruction", f"persistence_energy{which}") for which in ("", "_without_dense")]
    l0 = [("reconstruction", "l0"), ("ground_truth", "l0")]
    return pd.DataFrame(
        {"label": label, "run": f"l0-{target:g}", "target": target, "stage": stage, "metric": metric}
        | _around(target if metric == "l0" else 0.5 + 0.1 * place + target / 100)
        for label in LABELS
        for target in TARGETS
        for place, (stage, metric) in enumerate([*l0, *scores, *steady])
    )


def _around(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": 0.99 * mean, "high": 1.01 * mean, "reason": "", "on_target": 1}


def training() -> pd.DataFrame:
    """Curves of 100 points, explained variance from far below 0 up."""
    return pd.DataFrame(
        {"label": label, "target": target, "seed": seed, "tokens": 1000 * step,
         "explained_variance": 0.9 - 3 / (step + 1) - 0.01 * seed, "l0": target * (1 + 50 / (step + 1))}
        for label in LABELS for target in TARGETS for seed in (0, 1) for step in range(100)
    )  # fmt: skip


def letters() -> pd.DataFrame:
    """Three letters, the last one dropped."""
    return pd.DataFrame(
        {"label": label, "target": target, "letter": letter, "words": 9, "fraction": fraction}
        for label in LABELS for target in TARGETS
        for letter, fraction in (("a", 0.3), ("b", 0.0), ("c", None))
    )  # fmt: skip


def probing() -> pd.DataFrame:
    """Probing of two classes whose names read as one number."""
    return pd.DataFrame(
        {"label": label, "run": f"l0-{target:g}", "target": target, "seed": seed, "set": "topic",
         "class": name, "k": k, "accuracy": 0.7 + 0.1 * seed, "raw_neurons": 0.6, "raw_dense": 0.9}
        for label in LABELS for target in TARGETS for seed in (0, 1) for name in ("1", "01") for k in (1, 2)
    )  # fmt: skip


def stability() -> pd.DataFrame:
    """Cosines that rise with the firing rate; the rarest latents are few."""
    return pd.DataFrame(
        {"label": label, "run": f"l0-{target:g}", "target": target, "seed": seed, "rate": rate,
         "latents": 3 if rate < 1e-4 else 100, "cosine": 0.5 + 0.1 * place + 0.02 * seed, "stable": 0.5}
        for label in LABELS for target in TARGETS for seed in (0, 1)
        for place, rate in enumerate((5e-5, 5e-4, 5e-3, 5e-2))
    )  # fmt: skip
