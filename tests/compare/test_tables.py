"""Long tables."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pipeline.compare import schemas
from pipeline.compare.paired.reached import reached
from pipeline.compare.scores import Scores
from pipeline.compare.tables import POINTS, letters, pareto, scores, summary, thin, training
from tests.compare.fake import CHOSEN, World

Gather = Callable[[World], Scores]


def test_scores_hold_every_value_and_every_reason(gather: Gather) -> None:
    world = World(missing={("topk l0-4", 42, "letter_f1_k1"): "too few"})
    rows = scores(gather(world))
    assert list(rows) == list(schemas.SCORES)
    gone = rows[rows.value.isna()]
    assert gone[["label", "run", "seed", "metric", "reason"]].to_numpy().tolist() == [
        ["topk", "l0-4", 42, "letter_f1_k1", "too few"]
    ]
    shown = {
        (stage, name) for stage, metrics in CHOSEN.items() for name, each in metrics.items() if each.aggregate
    }
    assert set(zip(rows.stage, rows.metric, strict=True)) == shown


def test_the_summary_carries_definition_and_spread(gather: Gather) -> None:
    world = World()
    world.values = {("topk", "l0-4", 4, seed, "persistence"): v for seed, v in ((42, 0.7), (43, 0.8))}
    whole = gather(world)
    rows = summary(whole, reached(whole, {}))
    assert list(rows) == list(schemas.SUMMARY)
    (found,) = rows[(rows.label == "topk") & (rows.run == "l0-4") & (rows.metric == "persistence")].to_dict(
        "records"
    )
    assert found["mean"] == pytest.approx(0.75)
    assert found["sd"] == pytest.approx(0.1 / 2**0.5)
    assert (found["low"], found["high"], found["seeds"], found["of"]) == (0.7, 0.8, 2, 2)
    assert found["interval_low"] < 0.75 < found["interval_high"]
    other = rows[(rows.label == "topk") & (rows.metric == "mse")]
    assert other.interval_low.isna().all()  # no headline
    assert (found["better"], found["unit"], found["version"]) == ("higher", "share", 1)


def test_a_diverged_run_has_no_pareto_point(gather: Gather) -> None:
    world = World(diverged={("atm", "l0-4", seed): "exploded" for seed in (42, 43)})
    columns, rows = pareto(gather(world))
    found = {(row["label"], row["run"]) for row in rows}
    assert ("atm", "l0-16") in found
    assert ("atm", "l0-4") not in found
    assert all(set(row) == set(columns) for row in rows)


@pytest.mark.parametrize("count", [0, 1, POINTS, POINTS + 1, 781])
def test_thinning_keeps_the_last_point(count: int) -> None:
    kept = thin(pd.DataFrame({"step": range(count)})).step.tolist()
    assert len(kept) <= POINTS
    assert kept[-1:] == list(range(count))[-1:]
    assert len(kept) >= min(count, POINTS // 2)


def test_training_rows_leave_absent_columns_empty() -> None:
    sae = SimpleNamespace(label="atm", run="l0-4", target=4.0, seed=42)
    (row,) = training([(sae, pd.DataFrame({"step": [1], "tokens": [1024], "l0": [9.5]}))]).itertuples()
    assert (row.l0, row.curve) == (9.5, "atm l0-4 42")
    assert pd.isna(row.loss)


def test_letters_are_means_over_seeds_and_dropped_ones_have_no_numbers(gather: Gather) -> None:
    def row(seed: int, letter: str, kept: int, fraction: float, full: float | None) -> dict[str, Any]:
        return {
            "label": "atm", "run": "l0-4", "seed": seed, "letter": letter, "kept": kept, "true_positives": 10,
            "absorption_fraction": fraction, "full_absorption": full,
        }  # fmt: skip

    rows = [row(42, "b", 0, 0.9, 0.9), row(42, "a", 1, 0.2, 0.1), row(43, "a", 1, 0.4, None)]
    source = gather(World(variants=["atm"], targets=[4], papers=())).text
    a, b = letters(pd.DataFrame(rows), source).to_dict("records")
    assert (a["letter"], a["target"], a["seeds"], a["words"], a["full"]) == ("a", 4, 2, 20, 0.1)
    assert a["fraction"] == pytest.approx(0.3)
    assert (b["letter"], b["seeds"]) == ("b", 0)
    assert pd.isna([b["words"], b["fraction"], b["full"]]).all()
