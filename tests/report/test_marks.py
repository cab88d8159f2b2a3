"""Best-of-column marks: only what seeds can tell apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.board import Measured
from pipeline.report.marks import marks
from pipeline.report.summary import Summary, summarise


def column(*rows: list[float | None]) -> list[Summary]:
    return [summarise([Measured(v, 10, None if v is not None else "absent") for v in row]) for row in rows]


def test_a_best_whose_range_touches_no_other_is_marked() -> None:
    rows = column([0.90, 0.92], [0.80, 0.82], [0.85, 0.86])
    assert marks(rows, [True] * 3, "higher") == ["best", "", ""]
    assert marks(rows, [True] * 3, "lower") == ["", "best", ""]


def test_rows_within_the_spread_of_the_best_are_tied_and_none_is_best() -> None:
    assert marks(column([0.88, 0.92], [0.87, 0.89], [0.5, 0.6]), [True] * 3, "higher") == ["tied", "tied", ""]


def test_equal_rows_without_spread_are_tied() -> None:
    assert marks(column([0.5, 0.5], [0.5, 0.5]), [True, True], "higher") == ["tied", "tied"]


def test_a_row_off_its_target_takes_no_part() -> None:
    assert marks(column([0.99, 0.99], [0.8, 0.81], [0.7, 0.71]), [False, True, True], "higher") == [
        "",
        "best",
        "",
    ]


def test_a_row_that_lacks_a_seed_takes_no_part() -> None:
    assert marks(column([0.99, None], [0.8, 0.81], [0.7, 0.71]), [True] * 3, "higher") == ["", "best", ""]


def test_one_seed_marks_nothing() -> None:
    assert marks(column([0.9], [0.1]), [True, True], "higher") == ["", ""]


def test_neither_direction_marks_nothing() -> None:
    assert marks(column([0.9, 0.9], [0.1, 0.1]), [True, True], "neither") == ["", ""]


values = st.lists(st.lists(st.floats(-5, 5), min_size=2, max_size=4), min_size=2, max_size=6)


@given(values)
def test_marked_rows_are_exactly_those_that_touch_the_best(rows: list[list[float]]) -> None:
    found = marks(column(*rows), [True] * len(rows), "higher")
    best = max(range(len(rows)), key=lambda i: sum(rows[i]) / len(rows[i]))
    touch = [min(row) <= max(rows[best]) and max(row) >= min(rows[best]) for row in rows]
    assert [mark != "" for mark in found] == touch
    assert ("best" in found) == (sum(touch) == 1)
