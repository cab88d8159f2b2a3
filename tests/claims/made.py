"""Tables as `compare` writes them, made up, and a run that is the setting of the paper's baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from pipeline.claims.measured import Tables
from pipeline.claims.verdict import Here
from pipeline.compare.schemas import SCORES

WHICH = ["label", "run", "seed", "stage", "metric"]

SWITCHES = {
    "absorption.selection": "l1_probe",
    "temporal.temporal_penalty": True,
    "temporal.resampling": True,
    "temporal.gradient_scaling": True,
}
VARIANTS = frozenset({"standard", "topk", "batchtopk", "jumprelu", "matryoshka", "atm", "temporal", "tsae"})

PAPER = Here(
    profile="gemma-2-2b",
    model="google/gemma-2-2b",
    layer=12,
    n=16384,
    text="monology/pile-uncopyrighted",
    context_length=128,
    tokens=5_000_000,
    switches=SWITCHES,
    variants=VARIANTS,
)
EMBEDDED = replace(
    PAPER, profile="embedded", model="embedded", layer=1, n=1024, text="embedded", tokens=400_000
)


Row = dict[str, Any]


def score(
    variant: str,
    metric: str,
    values: list[float | str],
    l0: int | None = 40,
    interval: float | None = None,
) -> list[Row]:
    """One row per seed; a text instead of a value is the reason why it is missing."""
    stage, name = metric.split("/")
    rows: list[Row] = []
    for seed, value in enumerate(values):
        row: Row = dict.fromkeys(SCORES) | {
            "label": variant, "run": "paper" if l0 is None else f"l0-{l0}", "target": l0, "seed": seed,
            "stage": stage, "metric": name, "items": 100, "reason": value if isinstance(value, str) else "",
        }  # fmt: skip
        if not isinstance(value, str):
            row["value"] = value
            if interval is not None:
                row |= {"low": value - interval, "high": value + interval}
        rows.append(row)
    return rows


def tables(*scores: list[Row]) -> Tables:
    """The two tables, with every run at its target's L0 unless `scores` say another."""
    rows = [row for each in scores for row in each]
    given = {(row["label"], row["run"]) for row in rows if row["metric"] == "l0"}
    rows += [
        {**row, "stage": "reconstruction", "metric": "l0", "value": row["target"], "reason": ""}
        for row in rows
        if (row["label"], row["run"]) not in given and row["target"]
    ]
    floats = dict.fromkeys(("target", "value", "low", "high"), "float64")
    found = pd.DataFrame(rows, columns=list(SCORES)).astype(floats).drop_duplicates(WHICH)
    return Tables.of(found, found.assign(version=1))
