"""The content of reports/metrics.json: what `dvc metrics diff` and `dvc exp show` put in columns."""

from __future__ import annotations

from typing import Any

from pipeline.compare.columns import Column
from pipeline.compare.scores import Run, Scores, Source

DIGITS = 6
"""Significant digits: enough to see every real change, short enough for a column."""


def metrics_json(scores: Scores) -> dict[str, Any]:
    """{variant: {run: {headline: mean over seeds}}}, ground truth as a run of its own.

    A value that any seed lacks is null: DVC shows `-` and keeps the key, where a mean over fewer seeds
    would pass for a change. Control rows stay in summary.tsv, so that the columns remain few.
    """
    result: dict[str, Any] = {}
    shown = (scores.text, scores.text.columns, ""), (scores.truth, scores.truth.scores, "truth-")
    for source, columns, prefix in shown:
        for run in source.runs:
            if not run.control:
                result.setdefault(run.variant, {})[prefix + run.name] = {
                    column.name: _mean(source, run, column) for column in columns if column.narrow
                }
    return result


def _mean(source: Source, run: Run, column: Column) -> float | None:
    mean = source.summary(run, column.key).complete_mean
    return None if mean is None else float(f"{mean:.{DIGITS}g}")
