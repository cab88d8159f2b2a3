"""Rank correlation of the proxy with the truth, against SciPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pipeline.compare.board import Board, Entry, Measured
from scipy.stats import spearmanr

from pipeline.compare.ranking import COLUMNS, FEWEST, notes, ranking, rankings, spearman

FULL, EXACT = "proxy_full_absorption", "exact_absorption"


def entry(
    variant: str, target: int, seed: int, proxy: float | None, exact: float, control: bool = False
) -> Entry:
    names = {FULL: proxy, "proxy_absorption_fraction": 0.5, EXACT: exact, "exact_absorption_matched": exact}
    return Entry(
        label=f"{variant} (pairs)" if control else variant, variant=variant, run=f"l0-{target}",
        target=target, seed=seed,
        values={
            ("ground_truth", name): Measured(value, 1, None if value is not None else "diverged")
            for name, value in names.items()
        },
    )  # fmt: skip


def made(noise: float, variants: int = 7) -> Board:
    rng = np.random.default_rng(0)
    truth = [
        entry(f"v{v}", target, seed, v / 10 + noise * rng.normal(), v / 10 + seed / 1000)
        for v in range(variants) for target in (5, 10) for seed in (0, 1)
    ]  # fmt: skip
    return Board([], truth, {})


def test_spearman_is_scipys_ties_included() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 6, 30), rng.normal(size=30).round(1)
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert np.isnan(spearman(np.ones(4), np.arange(4)))


def test_a_faithful_proxy_has_rho_near_one_and_noise_has_none() -> None:
    good, bad = (rankings(made(noise))[0] for noise in (0.01, 10.0))
    assert tuple(good) == COLUMNS
    assert (good["saes"], good["runs"], good["target"]) == (28, 14, "all")
    assert good["rho"] > 0.95
    assert 0.85 < good["low"] <= good["rho"] <= good["high"] <= 1
    assert bad["low"] < 0 < bad["high"]


def test_each_target_has_a_row_of_its_own() -> None:
    rows = [row for row in rankings(made(0.01)) if (row["proxy"], row["exact"]) == (FULL, EXACT)]
    assert [(row["target"], row["saes"]) for row in rows] == [("all", 28), (5, 14), (10, 14)]


def test_seeds_of_a_run_are_drawn_together() -> None:
    """Copies of every SAE under more seeds are no new evidence: the interval must not shrink."""
    board = made(0.15)
    once = ranking([[entry] for entry in board.truth[::2]], FULL, EXACT)
    copied = ranking([[entry] * 20 for entry in board.truth[::2]], FULL, EXACT)
    assert (copied.rho, copied.low, copied.high) == pytest.approx((once.rho, once.low, once.high))


def test_controls_and_missing_values_are_left_out() -> None:
    board = made(0.01)
    board.truth.append(entry("v0", 5, 0, 9.0, 0.0, control=True))
    board.truth.append(entry("v9", 5, 0, None, 0.9))
    assert rankings(board)[:6] == rankings(made(0.01))[:6]


def test_too_few_runs_and_constant_values_say_so() -> None:
    few = rankings(made(0.01, variants=2))[0]
    assert few["rho"] == ""
    assert few["reason"] == f"4 runs have both values, ranks need {FEWEST}"
    flat = next(row for row in rankings(made(0.01)) if row["proxy"] == "proxy_absorption_fraction")
    assert flat["reason"] == "all SAEs have the same value"


def test_the_note_gives_each_proxy_once() -> None:
    said = notes(rankings(made(0.01)))
    assert len(said) == 1
    assert "full absorption: Spearman's rho 0.9" in said[0]
    assert "over 28 SAEs" in said[0]
    assert "absorption fraction: no rank correlation (all SAEs have the same value)" in said[0]
