"""Who leads a column: only what the paired tests tell apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.compare.leaders import Beats, leaders, marks

ROWS = {"a": 0.91, "b": 0.81, "c": 0.855}


def beats(*pairs: str) -> Beats:
    return lambda first, second: first + second in pairs


def test_a_best_that_beats_every_other_row_leads_alone() -> None:
    assert leaders(ROWS, "higher", beats("ab", "ac")) == ["a"]
    assert leaders(ROWS, "lower", beats("ba", "bc")) == ["b"]


def test_rows_that_the_best_does_not_beat_are_tied_with_it_by_value() -> None:
    assert leaders(ROWS, "higher", beats("ab")) == ["a", "c"]
    assert leaders(ROWS, "higher", beats("ca")) == ["a", "c", "b"]


def test_nobody_leads_what_was_not_compared_or_has_no_direction() -> None:
    assert leaders(ROWS, "higher", lambda first, second: None) == []
    assert leaders({"a": 0.9}, "higher", beats()) == []
    assert leaders({}, "higher", beats()) == []
    assert leaders(ROWS, "neither", beats("ab", "ac")) == []


def test_one_leader_is_best_and_several_are_tied() -> None:
    assert marks(["a"]) == {"a": "best"}
    assert marks(["a", "c"]) == {"a": "tied", "c": "tied"}
    assert marks([]) == {}


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6, unique=True), st.data())
def test_leaders_are_the_best_and_those_it_does_not_beat(means: list[float], data: st.DataObject) -> None:
    values = {str(place): mean for place, mean in enumerate(means)}
    best = max(values, key=lambda label: values[label])
    beaten = {label: label != best and data.draw(st.booleans()) for label in values}
    found = leaders(values, "higher", lambda first, second: first == best and beaten[second])
    assert found[0] == best
    assert set(found) == {label for label in values if not beaten[label]}
