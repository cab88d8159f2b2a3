"""Who leads and who differs, as standing.json says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pipeline.compare.outcomes import document
from pipeline.compare.scores import Scores
from tests.compare.conftest import NOTHING, told
from tests.compare.fake import World

Gather = Callable[[World], Scores]
FOUR = {"standard": (0.10, 0.11), "topk": (0.50, 0.51), "atm": (0.90, 0.901), "temporal": (0.9005, 0.9)}


def column(gather: Gather, values: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """The cross-entropy score at L0 4 of these variants, with these values by seed."""
    world = World(variants=list(values), papers=(), controls=())
    world.values = {
        (variant, "l0-4", 4, seed, metric): value
        for variant, each in values.items()
        for seed, own in zip((42, 43), each, strict=True)
        for metric, value in (("persistence", own), ("l0", 4.0))
    }
    group = json.loads(json.dumps(document(told(gather(world)), NOTHING)))["groups"][0]
    assert (group["source"], group["target"], group["labels"]) == ("text", 4, list(values))
    return next(each for each in group["columns"] if each["name"] == "persistence")


def test_ties_are_listed_by_value_after_the_best(gather: Gather) -> None:
    found = column(gather, FOUR)
    assert found["leaders"] == ["atm", "temporal"]
    assert found["beaten"] == ["standard", "topk"]
    assert (found["compared"], found["open"]) == (3, False)
    assert {label: cell["mark"] for label, cell in found["cells"].items()} == {
        "standard": "", "topk": "", "atm": "tied", "temporal": "tied"
    }  # fmt: skip
    assert found["pairs"]["atm"]["topk"]["verdict"] == "better"
    assert found["pairs"]["topk"]["atm"]["text"].startswith("-0.39")


def test_a_row_told_apart_from_every_other_leads_alone(gather: Gather) -> None:
    found = column(gather, {name: FOUR[name] for name in ("standard", "topk", "atm")})
    assert (found["leaders"], found["cells"]["atm"]["mark"]) == (["atm"], "best")
    assert found["title"] == "persistence\u00a0↑"


def test_a_best_row_that_beats_fewer_than_half_is_no_clear_leader(gather: Gather) -> None:
    found = column(gather, {"standard": (0.1, 0.9), "topk": (0.2, 0.8), "atm": (0.95, 0.15)})
    assert (found["beaten"], found["compared"], found["open"]) == ([], 2, True)


def test_without_two_seeds_nobody_leads(gather: Gather) -> None:
    world = World(variants=["topk", "atm"], seeds=[7], papers=(), controls=())
    for group in document(told(gather(world)), NOTHING)["groups"]:
        if group["source"] == "text":
            assert all((each["leaders"], each["compared"]) == ([], 0) for each in group["columns"])
