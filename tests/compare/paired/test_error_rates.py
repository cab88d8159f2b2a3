"""Holm's 5 % under unequal noise, and the coverage of the printed intervals: small runs of the benchmark."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks.error_rates import ASKED, NOISIER, PROFILES, Rates, asked, found, rates

TRIALS = 2500
TWELVE = [name for name, spread in PROFILES.items() if len(spread) == 12]
REAL = [name for name in TWELVE if name[-1].isdigit()]


@cache
def simulated(name: str, seeds: int) -> Rates:
    return rates(PROFILES[name], seeds, TRIALS)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("name", TWELVE)
def test_the_family_wise_error_holds_however_unequal_the_noise(name: str, seeds: int) -> None:
    got = simulated(name, seeds)
    assert got.families <= 0.055
    # one row of this column has half of all noise, and its 5 % of equality lie nearer to the middle of t
    assert got.equal <= (0.07 if (name, seeds) == ("CE score at L0 4", 2) else 0.055)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("name", [*REAL, "equal noise"])
def test_intervals_hold_what_they_say(name: str, seeds: int) -> None:
    """Two seeds cover too much, rather than too little, where the noise is equal."""
    got = simulated(name, seeds)
    assert 0.93 <= got.pairs <= (0.975 if seeds == 2 else 0.97)
    assert 0.93 <= got.values <= (0.995 if seeds == 2 else 0.98)


def test_a_noisy_row_is_covered_less_by_two_seeds_than_by_five() -> None:
    two, five = (simulated("one row six times as noisy", seeds).worst for seeds in (2, 5))
    assert 0.7 < two < five < 0.95


def test_what_a_seed_does_to_all_rows_is_in_the_intervals_of_values_and_not_of_pairs() -> None:
    alone, moved = (rates(PROFILES["equal noise"], 3, TRIALS, common=common) for common in (0.0, 10.0))
    assert moved.pairs == pytest.approx(alone.pairs, abs=1e-9)
    assert 0.92 <= moved.values <= 0.96


def test_models_as_a_random_factor_hold_the_error_too() -> None:
    for name in ("equal noise", "one row six times as noisy"):
        got = rates(PROFILES[name], 3, TRIALS, of=5)
        assert got.families <= 0.055
        assert 0.93 <= got.pairs <= 0.98


def test_large_differences_are_found_even_by_two_seeds_and_small_ones_by_five() -> None:
    equal = PROFILES["equal noise"]
    assert found(equal, 2, 3.0, 400) > 0.7
    assert found(equal, 5, 1.0, 400) > 0.6 > found(equal, 2, 1.0, 400)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("noisier", NOISIER)
@pytest.mark.parametrize("pairs", ASKED, ids=["4 tests", "12 tests"])
def test_what_is_asked_beforehand_holds_its_error_however_noisy_the_judged_row(
    pairs: tuple[tuple[int, int], ...], noisier: float, seeds: int
) -> None:
    got = asked(pairs, noisier, seeds, TRIALS)
    assert got.families <= 0.055
    assert got.equal <= 0.055


def test_the_tables_analysis_alone_would_not_hold_it() -> None:
    assert asked(ASKED[0], 6.0, 2, TRIALS).table > 0.2


def test_what_is_asked_beforehand_is_found_by_three_seeds_where_two_mostly_fail() -> None:
    two, three = (asked(ASKED[0], 1.0, seeds, 400, step=10.0).families for seeds in (2, 3))
    assert two < 0.4 < 0.9 < three
