"""Figures: real PNGs, the same bytes twice, and a sentence where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
import pytest
from pipeline.compare.board import Board
from pipeline.compare.headline import L0
from pipeline.compare.summary import by_run

from pipeline.charts.dots import names
from pipeline.charts.letters import letters
from pipeline.charts.pareto import pareto
from pipeline.charts.style import Palette, nothing
from pipeline.charts.temporal import temporal
from pipeline.charts.training import training
from pipeline.charts.truth import truth
from tests.compare.fake import World

Gather = Callable[[World], Board]
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE = Palette(["standard", "topk"])
SMALL = World(variants=["standard", "topk"], papers=())


@pytest.mark.parametrize("draw", [pareto, temporal, truth])
def test_same_entries_same_bytes(gather: Gather, draw: Callable[..., bytes]) -> None:
    whole = gather(SMALL)
    entries = whole.truth if draw is truth else whole.entries
    first = draw(entries, PALETTE)
    assert first.startswith(SIGNATURE)
    assert draw(entries, PALETTE) == first
    assert draw(entries[2:], PALETTE) != first


def test_settings_of_the_session_change_nothing(gather: Gather) -> None:
    entries = gather(SMALL).entries
    first = pareto(entries, PALETTE)
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 5}):
        assert pareto(entries, PALETTE) == first


def test_no_time_stamp_or_software_in_the_file(gather: Gather) -> None:
    picture = pareto(gather(SMALL).entries, PALETTE)
    assert b"tEXt" not in picture
    assert b"tIME" not in picture


def test_everything_diverged_is_a_sentence(gather: Gather) -> None:
    world = World(
        variants=["topk"], targets=[4], papers=(), diverged={("topk", "l0-4", s): "x" for s in (42, 43)}
    )
    whole = gather(world)
    assert pareto(whole.entries, PALETTE) == nothing(
        "No SAE with a measured L0: there is nothing to lay against it."
    )
    assert temporal(whole.entries, PALETTE).startswith(SIGNATURE)
    assert truth(whole.truth, PALETTE).startswith(SIGNATURE)


def test_no_curves_and_no_letters_are_sentences(gather: Gather) -> None:
    entry = gather(SMALL).entries[0]
    assert training([(entry, [])], PALETTE) == nothing("No training curves: training.tsv holds no rows.")
    assert letters([]).startswith(SIGNATURE)


@pytest.mark.parametrize("column", ["explained_variance", "reconstruction", "loss"])
def test_curves_draw_what_the_log_has(gather: Gather, column: str) -> None:
    entry = gather(SMALL).entries[0]
    points = [{"tokens": 1024 * i, column: 0.5 - 0.1 / (i + 1), "l0": 8.0 + i} for i in range(5)]
    assert len(training([(entry, points)], PALETTE)) > len(nothing("No training curves."))


def test_letters_without_a_value_are_drawn_grey(gather: Gather) -> None:
    rows = [{"target": 4, "label": "topk", "letter": letter, "fraction": 0.3} for letter in "abc"]
    absent = [*rows[:2], {**rows[2], "fraction": None}]
    zero = [*rows[:2], {**rows[2], "fraction": 0.0}]
    assert letters(absent) != letters(zero)


def test_a_row_off_its_target_says_which_l0_it_reached(gather: Gather) -> None:
    world = World(variants=["topk"], targets=[4], papers=())
    world.values = {("topk", "l0-4", 4, seed, "l0"): 7.5 for seed in (42, 43)}
    assert names(by_run(gather(world).entries), L0) == ["topk, L0 7.5!"]
    assert names(by_run(gather(SMALL).entries), L0)[0] == "standard"


def test_a_score_that_nothing_has_is_not_drawn_as_an_empty_axis(gather: Gather) -> None:
    why = {("topk l0-4", seed, "mean_absorption_fraction"): "too few letters" for seed in (42, 43)}
    measured = World(variants=["topk"], targets=[4], papers=())
    absent = World(variants=["topk"], targets=[4], papers=(), missing=why)
    assert pareto(gather(absent).entries, PALETTE) != pareto(gather(measured).entries, PALETTE)
