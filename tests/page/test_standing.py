"""Which rows lead a score at one L0, and when that says little."""

from __future__ import annotations

from typing import Any

from pipeline.compare.headline import SCORES

from pipeline.page.standing import Column, groups

KEY = {"stage": SCORES[0].stage, "metric": SCORES[0].metric, "target": 4}


def curve(label: str, value: float) -> dict[str, Any]:
    return KEY | {
        "label": label, "matched": value, "matched_l0": 4.0, "interval_low": None, "interval_high": None,
        "how": "measured", "seeds": 2, "of": 2, "reason": "",
    }  # fmt: skip


def pair(a: str, b: str, verdict: str) -> dict[str, Any]:
    return KEY | {
        "a": a, "b": b, "verdict": verdict, "difference": 0.1, "low": 0.0, "high": 0.2, "p_holm": 0.04,
        "minimum_detectable": 0.1, "reason": "",
    }  # fmt: skip


def column(*verdicts: dict[str, Any]) -> Column:
    curves = [curve(*each) for each in (("low", 0.1), ("middle", 0.5), ("top", 0.9), ("high", 0.8))]
    (group,) = groups(curves, verdicts)
    return next(each for each in group.columns if each.name == SCORES[0].name)


SAME = "not distinguishable"


def test_ties_are_listed_by_value_after_the_best() -> None:
    found = column(pair("low", "top", "worse"), pair("middle", "top", SAME), pair("top", "high", SAME))
    assert found.leaders == ["top", "high", "middle"]
    assert (found.beaten, found.compared, found.open) == (["low"], 3, True)
    assert {label: cell.mark for label, cell in found.cells.items()} == {
        "low": "", "middle": "tied", "top": "tied", "high": "tied"
    }  # fmt: skip


def test_a_row_told_apart_from_every_other_leads_alone() -> None:
    found = column(*(pair("top", other, "better") for other in ("low", "middle", "high")))
    assert (found.leaders, found.open) == (["top"], False)
    assert found.cells["top"].mark == "best"


def test_without_pairs_nobody_leads() -> None:
    found = column()
    assert (found.leaders, found.beaten, found.compared) == ([], [], 0)
