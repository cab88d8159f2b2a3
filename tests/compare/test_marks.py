"""Best-of-column marks: only what the paired tests tell apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pipeline.compare.board import Measured
from pipeline.compare.marks import Beats, marks
from pipeline.compare.summary import Summary, summarise


def column(*rows: list[float | None]) -> list[Summary]:
    return [summarise([Measured(v, 10, None if v is not None else "absent") for v in row]) for row in rows]


ROWS = column([0.90, 0.92], [0.80, 0.82], [0.85, 0.86])


def beats(*pairs: tuple[int, int]) -> Beats:
    return lambda first, second: (first, second) in pairs


def test_a_best_that_beats_every_other_row_is_marked() -> None:
    assert marks(ROWS, [True] * 3, "higher", beats((0, 1), (0, 2))) == ["best", "", ""]
    assert marks(ROWS, [True] * 3, "lower", beats((1, 0), (1, 2))) == ["", "best", ""]


def test_rows_that_the_best_does_not_beat_are_tied_with_it() -> None:
    assert marks(ROWS, [True] * 3, "higher", beats((0, 1))) == ["tied", "", "tied"]


def test_a_row_off_its_target_takes_no_part() -> None:
    assert marks(ROWS, [False, True, True], "higher", beats((2, 1))) == ["", "", "best"]


def test_a_row_that_lacks_a_seed_takes_no_part() -> None:
    rows = column([0.99, None], [0.8, 0.81], [0.7, 0.71])
    assert marks(rows, [True] * 3, "higher", beats((1, 2))) == ["", "best", ""]


def test_what_was_not_compared_is_not_marked() -> None:
    assert marks(ROWS, [True] * 3, "higher", lambda first, second: None) == ["", "", ""]


def test_neither_direction_marks_nothing() -> None:
    assert marks(ROWS, [True] * 3, "neither", beats((0, 1), (0, 2))) == ["", "", ""]


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6, unique=True), st.data())
def test_marked_rows_are_the_best_and_those_it_does_not_beat(means: list[float], data: st.DataObject) -> None:
    best = means.index(max(means))
    beaten = [data.draw(st.booleans()) and i != best for i in range(len(means))]
    found = marks(
        column(*([mean] for mean in means)), [True] * len(means), "higher",
        lambda first, second: first == best and beaten[second],
    )  # fmt: skip
    assert [mark != "" for mark in found] == [not each for each in beaten]
    assert ("best" in found) == (sum(beaten) == len(means) - 1)
