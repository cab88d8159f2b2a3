"""Numbers over seeds."""

from __future__ import annotations

import statistics

import pytest
from pipeline.compare.board import Entry, Measured
from pipeline.compare.headline import L0
from pipeline.compare.summary import by_run, missed_target, summarise


def test_mean_range_and_deviation_against_the_standard_library() -> None:
    values = [0.3, 0.7, 0.45]
    found = summarise([Measured(value, items) for value, items in zip(values, (30, 20, 25), strict=True)])
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.sd == pytest.approx(statistics.stdev(values))
    assert (found.low, found.high, found.items) == (0.3, 0.7, 20)
    assert found.spread == pytest.approx(0.2)
    assert (found.seeds, found.of) == (3, 3)


def test_a_missing_seed_is_counted_and_its_reason_kept_once() -> None:
    gone = Measured(None, 0, "too few letters")
    found = summarise([Measured(0.5, 10), gone, gone])
    assert (found.mean, found.spread, found.sd, found.seeds, found.of) == (0.5, None, None, 1, 3)
    assert found.reasons == ("too few letters",)


def test_nothing_measured_has_no_mean() -> None:
    found = summarise([Measured(None, 0, "diverged")])
    assert (found.mean, found.low, found.seeds, found.of) == (None, None, 0, 1)


def entry(seed: int, l0: float, on_target: bool | None = True, run: str = "l0-10") -> Entry:
    return Entry("atm", "atm", run, 10, seed, on_target=on_target, values={L0.key: Measured(l0, 5)})


def test_a_miss_is_more_than_ten_percent_on_either_split() -> None:
    assert not missed_target([entry(1, 10.9), entry(2, 9.1)], L0)
    assert missed_target([entry(1, 10.9), entry(2, 11.1)], L0)
    assert missed_target([entry(1, 10.0, on_target=False)], L0)


def test_runs_keep_their_order_and_their_seeds() -> None:
    entries = [entry(1, 10), entry(1, 10, run="l0-4"), entry(2, 10)]
    assert [[e.seed for e in run] for run in by_run(entries)] == [[1, 2], [1]]
