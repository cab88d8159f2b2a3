"""Tables as `compare` writes them, made up, and a run that is the setting of the paper's baselines."""

from __future__ import annotations

from dataclasses import replace

from pipeline.claims.measured import Row, Tables
from pipeline.claims.verdict import Here

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
        missing = isinstance(value, str)
        row = {
            "label": variant,
            "run": "paper" if l0 is None else f"l0-{l0}",
            "target": "" if l0 is None else str(l0),
            "seed": str(seed),
            "stage": stage,
            "metric": name,
            "value": "" if missing else str(value),
            "items": "100",
            "reason": str(value) if missing else "",
        }
        if interval is not None and not isinstance(value, str):
            row |= {"low": str(value - interval), "high": str(value + interval)}
        rows.append(row)
    return rows


def tables(*scores: list[Row]) -> Tables:
    """The two tables, with every run at its target's L0 unless `scores` say another."""
    rows = [row for each in scores for row in each]
    given = {(row["label"], row["run"]) for row in rows if row["metric"] == "l0"}
    for row in list(rows):
        if (row["label"], row["run"]) not in given and row["target"]:
            rows.append(
                {**row, "stage": "reconstruction", "metric": "l0", "value": row["target"], "reason": ""}
            )
    return Tables.of(rows, [{**row, "version": "1"} for row in rows])
