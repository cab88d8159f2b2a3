"""Rank correlation of the proxy with the truth, against SciPy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from pipeline.compare.ranking import FEWEST, PROXIES, notes, printed, rankings, spearman
from pipeline.compare.schemas import RANKING
from pipeline.compare.scores import Source

FULL, FRACTION, EXACT = "proxy_full_absorption", "proxy_absorption_fraction", "exact_absorption"


Sae = tuple[str, int, int, float | None, float, bool]
"""(variant, target, seed, proxy, exact, control)."""


def saes(noise: float, variants: int = 7) -> list[Sae]:
    rng = np.random.default_rng(0)
    return [
        (f"v{v}", target, seed, v / 10 + noise * rng.normal(), v / 10 + seed / 1000, False)
        for v in range(variants) for target in (5, 10) for seed in (0, 1)
    ]  # fmt: skip


def source(found: list[Sae]) -> Source:
    rows = [
        (
            variant,
            f"{variant} (pairs)" if control else variant,
            float(target),
            f"l0-{target}",
            seed,
            name,
            value,
        )
        for variant, target, seed, proxy, exact, control in found
        for name, value in ((FULL, proxy), (FRACTION, 0.5), (EXACT, exact), (f"{EXACT}_matched", exact))
    ]
    numbers = pd.DataFrame(
        rows, columns=["variant", "label", "target", "run", "seed", "metric", "value"]
    ).astype({"value": "float64"})
    return Source("truth", numbers, numbers, ())


def made(noise: float, variants: int = 7) -> Source:
    return source(saes(noise, variants))


def test_spearman_is_scipys_ties_included() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 6, 30), rng.normal(size=30).round(1)
        assert spearman(x, y, np.ones((1, 30)))[0] == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert np.isnan(spearman(np.ones(4), np.arange(4), np.ones((1, 4)))[0])


def test_a_count_is_so_many_copies() -> None:
    rng = np.random.default_rng(1)
    x, y, counts = rng.integers(0, 9, 12), rng.normal(size=12), rng.integers(0, 4, (15, 12))
    expected = [spearmanr(np.repeat(x, each), np.repeat(y, each)).statistic for each in counts]
    np.testing.assert_allclose(spearman(x, y, counts), expected, atol=1e-12)
    assert np.isnan(spearman(x, y, np.eye(12)[:1])).all()


def test_a_faithful_proxy_has_rho_near_one_and_noise_has_none() -> None:
    good, bad = (rankings(made(noise))[0] for noise in (0.01, 10.0))
    assert set(good) == set(RANKING)
    assert (good["saes"], good["runs"], good["target"]) == (28, 14, "all")
    assert good["rho"] > 0.95
    assert 0.85 < good["low"] <= good["rho"] <= good["high"] <= 1
    assert bad["low"] < 0 < bad["high"]


def test_each_target_has_a_row_of_its_own() -> None:
    rows = [row for row in rankings(made(0.01)) if (row["proxy"], row["exact"]) == (FULL, EXACT)]
    assert [(row["target"], row["saes"]) for row in rows] == [("all", 28), ("5", 14), ("10", 14)]


def test_seeds_of_a_run_are_drawn_together() -> None:
    """Copies of every SAE under more seeds are no new evidence: the interval must not shrink."""
    first = [sae for sae in saes(0.15) if sae[2] == 0]
    once = rankings(source(first))[0]
    copied = rankings(source([(v, t, seed, *rest) for v, t, _, *rest in first for seed in range(20)]))[0]
    assert copied["saes"] == 20 * once["saes"]
    assert [copied[name] for name in ("rho", "low", "high")] == pytest.approx(
        [once[name] for name in ("rho", "low", "high")]
    )


def test_controls_and_missing_values_are_left_out() -> None:
    more = [("v0", 5, 0, 9.0, 0.0, True), ("v9", 5, 0, None, 0.9, False)]
    assert rankings(source(saes(0.01) + more))[:6] == rankings(made(0.01))[:6]


def test_too_few_runs_and_constant_values_say_so() -> None:
    few = rankings(made(0.01, variants=2))[0]
    assert few["rho"] is None
    assert few["reason"] == f"4 runs have both values, ranks need {FEWEST}"
    flat = next(row for row in rankings(made(0.01)) if row["proxy"] == "proxy_absorption_fraction")
    assert flat["reason"] == "all SAEs have the same value"


def test_the_note_gives_each_proxy_once() -> None:
    said = notes(rankings(made(0.01)))
    assert len(said) == 1
    assert "full absorption: Spearman's rho 0.9" in said[0]
    assert "over 28 SAEs" in said[0]
    assert "absorption fraction: no rank correlation (all SAEs have the same value)" in said[0]


def test_what_is_printed_begins_with_the_measure_that_leads() -> None:
    ranked = rankings(made(0.01))
    for row in ranked:  # another measure that ranks worse, and one that ranks nothing
        if row["proxy"] == "proxy_miss_rate":
            row.update(rho=0.5, low=0.4, high=0.6, reason=None)
    found = printed(ranked)
    assert found["targets"] == ["all", "5", "10"]
    assert [row[0] for row in found["rows"]][:2] == ["full absorption", "miss rate"]
    assert found["rows"][1][1:] == ["0.50 [0.40, 0.60]"] * 3
    assert len(found["rows"]) == len(PROXIES)
    assert "all SAEs have the same value" in {row[1] for row in found["rows"]}
