"""What more training gives: the best rate of each length, what it gained, where a longer search starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.console.errors import BadInput
from pipeline.tuning.length import nearest, points, write_lengths
from pipeline.tuning.record import Trial
from pipeline.tuning.search import Space, search
from pipeline.tuning.section import TuneSection
from tests.tuning.test_sweep import TREE, here, params, planted

__all__ = ["here"]
NOW = (("lr_scale", 2.0), ("weight", 1.0))


def at(rate: float, tokens: int, variance: float, weight: float = 1.0, **other: Any) -> list[Trial]:
    return planted({"lr_scale": rate, "weight": weight}, tokens, explained_variance=variance, **other)


def test_each_length_has_the_best_rate_that_met_its_targets(here: Path) -> None:
    own = [
        *at(2.0, 640, 0.7), *at(4.0, 640, 0.8), *at(8.0, 640, 0.9, on_target=False),
        *at(1.0, 640, 0.99, weight=0.0), *at(4.0, 2560, 0.9, status="diverged"), *at(2.0, 2560, 0.85),
        *at(2.0, 5120, 0.8), *at(1.0, 5120, 0.9)[:1], *at(1.0, 10_240, 0.9)[:1],
    ]  # fmt: skip
    found = points(own, NOW, [3, 5])
    assert [(each.tokens, each.rate, each.tried, [*each.trials]) for each in found] == [
        (640, 4.0, (2.0, 4.0, 8.0), [3, 5]), (2560, 2.0, (2.0, 4.0), [3, 5]),
        (5120, 2.0, (1.0, 2.0), [3, 5]), (10_240, 1.0, (1.0,), [3]),
    ]  # fmt: skip
    assert points([], NOW, [3, 5]) == []
    longest = nearest(found, 5120)
    assert longest is not None
    assert longest.rate == 2.0
    assert nearest(found, 640) is None


def test_the_table_says_what_the_next_length_gained(here: Path) -> None:
    own = [*at(4.0, 640, 0.8, dead=12), *at(2.0, 2560, 0.85)]
    path = write_lengths("small", points(own, NOW, [3, 5]), [3, 5], n=48)
    head, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["L0"] for row in told] == ["3", "5"]
    assert told[0]["tokens"] == "640 / 2,560"
    assert told[0]["rate"] == "4 / 2"
    assert [row["last gain"] for row in told] == ["+0.050", "+0.050"]
    assert told[0]["dead share"] == "0.25 / 0.00"


def test_a_closed_space_tries_no_other_rate(here: Path) -> None:
    space = Space(NOW, (2.0, 1.0), {}, None, closed=True)
    rules = TuneSection()
    assert [dict(each)["lr_scale"] for each in search(space, {}, rules).missing] == [2.0, 1.0]
    state = search(space, dict.fromkeys(search(space, {}, rules).missing), rules)
    assert state.done
    assert state.best == NOW


def test_a_seed_of_results_is_refused(here: Path) -> None:
    from pipeline.commands.tune import refuse_seed

    tree = TREE | {"seeds": [7]}
    Path("params.yaml").write_text(json.dumps(tree))
    with pytest.raises(BadInput, match="the seed 7, which results use"):
        refuse_seed(params(), 7, source=False)
