"""One score of every run, from the table summary.tsv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def measured(summary: pd.DataFrame, column: Mapping[str, Any]) -> pd.DataFrame:
    """Columns label, run, target, y, low, high, reason, x (the L0 reached), missed (its target), of each run.

    L0 is the stage's own where the stage trains its own SAEs (ground truth), else that of reconstruction.
    """
    stage = column["stage"]
    own = ((summary["stage"] == stage) & (summary["metric"] == "l0")).any()
    l0 = _of(summary, stage if own else "reconstruction", "l0")
    x = l0.assign(x=l0["mean"], missed=l0["on_target"].eq(0).fillna(False).astype(bool))[
        ["label", "run", "x", "missed"]
    ]
    y = _of(summary, stage, column["metric"]).rename(columns={"mean": "y"})
    return y[["label", "run", "target", "y", "low", "high", "reason"]].merge(x, on=["label", "run"])


def _of(summary: pd.DataFrame, stage: str, metric: str) -> pd.DataFrame:
    return summary[(summary["stage"] == stage) & (summary["metric"] == metric)]
