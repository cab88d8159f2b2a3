"""The curve of stability against firing rate."""

from __future__ import annotations

import pytest

from pipeline.charts.stability import curves, stability
from tests.charts import made


def test_a_point_is_the_mean_over_seeds_with_their_range() -> None:
    drawn = curves(made.stability())
    first = drawn[(drawn.label == "topk") & (drawn.target == 4)].iloc[0]
    assert (first.x, first.y) == (5e-4, pytest.approx(0.61))
    assert (first.low, first.high) == (pytest.approx(0.6), pytest.approx(0.62))


def test_a_bin_of_few_latents_is_not_drawn() -> None:
    assert set(curves(made.stability()).x) == {5e-4, 5e-3, 5e-2}


def test_a_panel_per_target_and_a_sentence_without_rows() -> None:
    assert len(stability(made.stability(), ["standard", "topk"])) == len(made.TARGETS)
    [said] = stability(made.stability()[:0], [])
    assert "two seeds" in str(said.spec(100))
