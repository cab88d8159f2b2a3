"""Numbers over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pandas as pd
import pytest

from pipeline.compare.seeds import Summary, over_seeds, summarise

WHICH = ("topk", "l0-4", "reconstruction", "persistence")


def table(values: Sequence[float | None], items: Sequence[int], reason: str | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {"label": "topk", "run": "l0-4", "evaluation": "reconstruction", "metric": "persistence",
         "target": 4.0, "better": "higher", "unit": "share", "version": 1, "aggregate": True,
         "value": pd.Series(values, dtype="float64"), "items": items,
         "reason": [reason if value is None else None for value in values]}
    )  # fmt: skip


def summary(*values: float | None, reason: str | None = None) -> Summary:
    return summarise(over_seeds(table(values, [10] * len(values), reason)))[WHICH]


def test_mean_range_and_deviation_against_the_standard_library() -> None:
    values = [0.3, 0.7, 0.45]
    (row,) = over_seeds(table(values, [30, 20, 25])).to_dict("records")
    assert row["mean"] == pytest.approx(statistics.fmean(values))
    assert row["sd"] == pytest.approx(statistics.stdev(values))
    assert (row["low"], row["high"], row["items"]) == (0.3, 0.7, 20)
    found = summary(*values)
    assert (found.low, found.high) == (0.3, 0.7)
    assert (found.seeds, found.of, found.complete_mean) == (3, 3, found.mean)


def test_a_missing_seed_is_counted_and_its_reason_kept_once() -> None:
    found = summary(0.5, None, None, reason="too few letters")
    assert (found.mean, found.complete_mean, found.seeds, found.of) == (0.5, None, 1, 3)
    assert found.reasons == ("too few letters",)


def test_nothing_measured_has_no_mean() -> None:
    found = summary(None, reason="diverged")
    assert (found.mean, found.low, found.seeds, found.of, found.complete_mean) == (None, None, 0, 1, None)


def test_runs_keep_their_order() -> None:
    rows = table([0.1, 0.2, 0.3], [1, 1, 1]).assign(run=["l0-9", "l0-4", "l0-9"])
    assert over_seeds(rows)[["run", "mean"]].to_numpy().tolist() == [["l0-9", 0.2], ["l0-4", 0.2]]
