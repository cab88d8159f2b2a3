"""What each chart says of its table: every row of it, what is missing, what is off its target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.charts.letters import letters
from pipeline.charts.panel import Panel
from pipeline.charts.pareto import pareto
from pipeline.charts.persistence import persistence
from pipeline.charts.probing import probing
from pipeline.charts.training import POINTS, training
from pipeline.charts.truth import truth
from tests.charts import made

METHODS = ["standard", "topk"]
TEXT, TRUTH = made.COLUMNS[:2], made.COLUMNS[2:]


def title(panel: Panel) -> str:
    found = panel.spec(100)["title"]
    return str(found["text"] if isinstance(found, dict) else found)


def said(panels: list[Panel]) -> str:
    """The sentence that stands in place of a chart."""
    (panel,) = panels
    return str(panel.spec(100)["encoding"]["text"]["value"])


def test_pareto_has_a_panel_per_score_and_a_line_per_label() -> None:
    panels = pareto(made.summary(), TEXT, METHODS)
    assert [title(panel) for panel in panels] == ["explained variance", "dead share"]
    for panel in panels:
        assert len(panel.rows) == len(made.LABELS) * len(made.TARGETS)
        assert {row["label"] for row in panel.rows if "place" in row} == set(made.LABELS)
        assert not any(row["missed"] for row in panel.rows)


def test_a_run_off_its_target_is_hollow_or_names_the_l0_it_reached() -> None:
    table = made.summary()
    one = (table["label"] == "topk") & (table["target"] == 4) & (table["metric"] == "l0")
    table.loc[one, ["mean", "low", "high", "on_target"]] = (4.3, 4.0, 4.6, 0)
    rows = pareto(table, TEXT, METHODS)[0].rows
    assert [row["label"] for row in rows if row["missed"]] == ["topk"]
    names = [row["name"] for panel in truth(table, TRUTH, METHODS) for row in panel.rows]
    assert names == ["standard", "standard (pairs)", "topk, L0 4.3!", "standard", "standard (pairs)", "topk"]


def test_presets_of_papers_are_left_out_and_saes_from_elsewhere_are_not() -> None:
    table = made.summary()
    run = table[(table["label"] == "topk") & (table["target"] == 4)].assign(target=np.nan, on_target=np.nan)
    both = pd.concat([table, run.assign(run="paper"), run.assign(run="given", label="other")])
    labels = [row["label"] for row in pareto(both, TEXT, [*METHODS, "other"])[0].rows]
    assert (labels.count("topk"), labels.count("other")) == (2, 1)


def test_a_score_without_a_value_is_no_empty_panel() -> None:
    table = made.summary()
    table.loc[table["metric"] == "dead_share", ["mean", "low", "high"]] = None
    assert [title(panel) for panel in pareto(table, TEXT, METHODS)] == ["explained variance"]
    assert said(pareto(table.iloc[:0], TEXT, METHODS)).startswith("No SAE with a measured L0")


def test_a_row_without_a_value_says_why() -> None:
    table = made.summary()
    one = (table["label"] == "topk") & (table["metric"] == "recovery_mmcs")
    table.loc[one, ["mean", "low", "high"]] = None
    table.loc[one, "reason"] = "diverged"
    for panel in truth(table, TRUTH, METHODS):
        assert [row.get("reason") for row in panel.rows if "y" not in row] == ["diverged"]
        assert len(panel.rows) == len(made.LABELS)


def test_persistence_stands_beside_that_without_dense_latents() -> None:
    panels = persistence(made.summary(), METHODS)
    assert len(panels) == len(made.TARGETS)
    assert all({"y", "sparse", "low", "high"} <= set(row) for panel in panels for row in panel.rows)


def test_training_is_thinned_to_its_end_and_averaged_over_seeds() -> None:
    explained, l0 = training(made.training().query("target == 4"), METHODS)
    last = [row for row in l0.rows if row["label"] == "topk"]
    assert len(last) <= POINTS
    assert last[-1]["x"] == 99_000
    end = next(row for row in explained.rows if "place" in row)
    assert (end["x"], end["low"], end["y"], end["high"]) == (99_000, 0.86, 0.865, 0.87)
    assert min(row["y"] for row in explained.rows) >= 0


def test_training_without_explained_variance_says_so() -> None:
    panels = training(made.training().query("target == 4").assign(explained_variance=np.nan), METHODS)
    assert "not in training.tsv" in said(panels[:1])
    assert len(panels[1].rows) > POINTS


def test_a_dropped_letter_has_no_value_and_an_unabsorbed_one_has_zero() -> None:
    for panel in letters(made.letters()):
        values = {row["x"]: row.get("value") for row in panel.rows}
        assert values == {"a": 0.3, "b": 0.0, "c": None}


def test_probing_keeps_classes_apart_and_ends_with_the_references() -> None:
    panel, _ = probing(made.probing())
    assert list(dict.fromkeys(row["x"] for row in panel.rows)) == ["topic: 1", "topic: 01"]
    labels = list(dict.fromkeys(row["label"] for row in panel.rows))
    assert labels == [*made.LABELS, "raw residual, neuron", "dense probe"]
    assert panel.rows[0]["value"] == 0.75


@pytest.mark.parametrize(
    "drawn",
    [
        lambda: truth(made.summary().iloc[:0], TRUTH, METHODS),
        lambda: persistence(made.summary().iloc[:0], METHODS),
        lambda: training(made.training().iloc[:0], METHODS),
        lambda: letters(made.letters().assign(fraction=np.nan)),
        lambda: probing(made.probing().assign(target=np.nan)),
    ],
)
def test_nothing_to_draw_is_a_sentence(drawn: Callable[[], list[Panel]]) -> None:
    assert said(drawn()).startswith("No ")
