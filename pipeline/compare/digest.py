"""The content of reports/metrics.json: what `dvc metrics diff` and `dvc exp show` put in columns."""

from __future__ import annotations

from typing import Any

from pipeline.compare.board import Board
from pipeline.compare.headline import L0, SCORES, TRUTH, Headline
from pipeline.compare.summary import by_run, over_seeds

DIGITS = 6
"""Significant digits: enough to see every real change, short enough for a column."""


def digest(board: Board) -> dict[str, Any]:
    """{variant: {run: {headline: mean over seeds}}}, ground truth as a run of its own.

    A value that any seed lacks is null: DVC shows `-` and keeps the key, where a mean over fewer seeds
    would pass for a change. Control rows stay in summary.tsv, so that the columns remain few.
    """
    result: dict[str, Any] = {}
    for run in by_run(board.entries):
        first = run[0]
        if first.label == first.variant:
            result.setdefault(first.variant, {})[first.run] = _means(run, (L0, *SCORES))
    for run in by_run(board.truth):
        first = run[0]
        if first.label == first.variant:
            result.setdefault(first.variant, {})[_truth_name(first.run)] = _means(run, TRUTH)
    return result


def _truth_name(run: str) -> str:
    return f"truth-{run}" if run else "truth"


def _means(run: list[Any], columns: tuple[Headline, ...]) -> dict[str, float | None]:
    return {column.name: _mean(run, column) for column in columns if column.narrow}


def _mean(run: list[Any], column: Headline) -> float | None:
    summary = over_seeds(run, column.key)
    if summary.mean is None or summary.seeds < summary.of:
        return None
    return float(f"{summary.mean:.{DIGITS}g}")
