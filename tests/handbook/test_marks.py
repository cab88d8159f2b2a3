"""Marks in a page: what is filled, what stays, what was written by hand."""

from __future__ import annotations

from pipeline.handbook.marks import Mark, filled, marks, without

PAGE = """\
It takes <!-- time -->1 s<!-- /time -->.

<!-- table: truth; rows: a, b -->
| 1 |
<!-- /table -->
End 2.
"""


def test_a_mark_has_a_name_a_question_and_options() -> None:
    time, table = marks(PAGE)
    assert time == Mark("time")
    assert (table.name, table.asked) == ("table", "truth")
    assert (table.names("rows"), table.names("stage")) == (["a", "b"], [])


def test_only_what_is_said_changes() -> None:
    assert filled(PAGE, lambda mark: None) == PAGE
    assert filled(PAGE, lambda mark: "2 s" if mark.name == "time" else None) == PAGE.replace("1 s", "2 s")
    assert filled(filled(PAGE, lambda mark: "x"), lambda mark: "x") == filled(PAGE, lambda mark: "x")


def test_what_was_written_by_hand_keeps_its_lines() -> None:
    assert without(PAGE).splitlines() == ["It takes .", "", "", "", "", "End 2."]
