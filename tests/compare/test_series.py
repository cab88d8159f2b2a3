"""Long tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pipeline.compare.board import Board, Entry
from pipeline.compare.series import POINTS, letters, pareto, scores, summaries, thin, training

from tests.compare.fake import World

Gather = Callable[[World], Board]


def test_scores_hold_every_value_and_every_reason(gather: Gather) -> None:
    world = World(missing={("topk l0-4", 42, "letter_f1_k1"): "too few"})
    rows = scores(gather(world))
    assert {
        "label",
        "run",
        "target",
        "seed",
        "stage",
        "metric",
        "value",
        "low",
        "high",
        "items",
        "reason",
    } == set(rows[0])
    gone = [row for row in rows if row["value"] is None]
    assert [(row["label"], row["run"], row["seed"], row["metric"], row["reason"]) for row in gone] == [
        ("topk", "l0-4", 42, "letter_f1_k1", "too few")
    ]
    assert not {row["metric"] for row in rows} & {"l1", "flicker_shuffled", "l0_true"}


def test_summaries_carry_definition_and_spread(gather: Gather) -> None:
    world = World()
    world.values = {("topk", "l0-4", 4, seed, "ce_score"): v for seed, v in ((42, 0.7), (43, 0.8))}
    found = [
        r
        for r in summaries(gather(world))
        if (r["label"], r["run"], r["metric"]) == ("topk", "l0-4", "ce_score")
    ]
    assert len(found) == 1
    assert found[0]["mean"] == pytest.approx(0.75)
    assert found[0]["sd"] == pytest.approx(0.1 / 2**0.5)
    assert (found[0]["low"], found[0]["high"], found[0]["seeds"], found[0]["of"]) == (0.7, 0.8, 2, 2)
    assert (found[0]["better"], found[0]["unit"], found[0]["version"]) == ("higher", "share", 1)


def test_a_diverged_run_has_no_pareto_point(gather: Gather) -> None:
    world = World(diverged={("atm", "l0-4", seed): "exploded" for seed in (42, 43)})
    found = {(row["label"], row["run"]) for row in pareto(gather(world))}
    assert ("atm", "l0-16") in found
    assert ("atm", "l0-4") not in found


@pytest.mark.parametrize("count", [0, 1, POINTS, POINTS + 1, 781])
def test_thinning_keeps_the_last_point(count: int) -> None:
    points: list[dict[str, Any]] = [{"step": step} for step in range(count)]
    kept = thin(points)
    assert len(kept) <= POINTS
    assert kept[-1:] == points[-1:]
    assert len(kept) >= min(count, POINTS // 2)


def test_training_rows_leave_absent_columns_empty() -> None:
    rows = training([(Entry("atm", "atm", "l0-4", 4, 42), [{"step": 1, "tokens": 1024, "l0": 9.5}])])
    assert (rows[0]["l0"], rows[0]["loss"], rows[0]["curve"]) == (9.5, None, "atm l0-4 42")


def test_letters_are_means_over_seeds_and_dropped_ones_have_no_numbers() -> None:
    seeds = [Entry("atm", "atm", "l0-4", 4, seed) for seed in (42, 43)]

    def row(letter: str, kept: int, fraction: float, full: float | None) -> dict[str, Any]:
        return {
            "letter": letter, "kept": kept, "true_positives": 10,
            "absorption_fraction": fraction, "full_absorption": full,
        }  # fmt: skip

    tables = [[row("a", 1, 0.2, 0.1)], [row("a", 1, 0.4, None), row("b", 0, 0.9, 0.9)]]
    a, b = letters(zip(seeds, tables, strict=True))
    assert (a["letter"], a["seeds"], a["words"], a["full"]) == ("a", 2, 20, 0.1)
    assert a["fraction"] == pytest.approx(0.3)
    assert (b["letter"], b["seeds"], b["words"], b["fraction"], b["full"]) == ("b", 0, None, None, None)
