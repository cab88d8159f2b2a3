"""Detection delay of columns that lag by a known time, and of columns that know nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.metrics.slow_states.delay import FEWEST, Clock, Delay, delay, survival
from tests.metrics.slow_states.made import LENGTH, best, fired, runs, state, text

DOCUMENTS, HORIZON = 40, 16
LABEL = runs(DOCUMENTS, 3, 20, seed=3)
LABELS = text(state("topic", LABEL), documents=DOCUMENTS)


def lagging(tokens: int) -> np.ndarray:
    """(N, 3): a column per value that says what was so many tokens ago, in the same document."""
    before = LABEL.reshape(DOCUMENTS, LENGTH)
    late = np.concatenate([np.repeat(before[:, :1], tokens, 1), before[:, : LENGTH - tokens]], 1)
    return np.eye(3)[late.ravel()]


def measured(dense: np.ndarray) -> Delay:
    clock = Clock.of(LABELS.slow[0], LABELS, 4, 0)
    assert clock is not None
    return delay(clock, best(fired(dense), LABELS), LABELS, HORIZON)


@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_columns_that_lag_are_as_late_as_they_lag(tokens: int) -> None:
    found = measured(lagging(tokens))
    assert found.changes == 2 * DOCUMENTS
    assert found.after.mean == pytest.approx(tokens)
    assert found.after.never == 0
    assert found.found.influence.sum() == pytest.approx(0, abs=1e-9)


def test_without_false_alarms_the_delay_is_the_mean() -> None:
    found = measured(lagging(0))
    assert found.without.mean == HORIZON
    assert found.found.value == 0


def test_columns_that_are_always_on_detect_nothing() -> None:
    """The first reads as on everywhere, the others never: no change is told from its absence."""
    assert measured(np.ones((len(LABEL), 3))).found.value == pytest.approx(HORIZON, abs=0.5)


def test_columns_without_knowledge_gain_nothing_by_firing_often() -> None:
    dense = (np.random.default_rng(0).random((len(LABEL), 3)) < 0.7).astype(float)
    found = measured(dense)
    assert found.after.mean < HORIZON - 2
    assert found.found.value == pytest.approx(HORIZON, abs=1.5)


def test_the_curve_is_kaplan_and_meiers() -> None:
    """Six places seen for different lengths, worked by hand: 2 of 6 at risk go at 0, 1 of 3 at 2."""
    delays = np.array([0, 0, 2, 4, 4, 4])
    length = np.array([9, 9, 9, 9, 4, 5])
    found = survival(delays, length, 4)
    # at 1: at risk those not detected and seen for 4 tokens: 4; at 2, seen for 5: 3; at 3, seen for 6: 1
    kept = [4 / 6, 4 / 6, 4 / 6 * 2 / 3, 4 / 6 * 2 / 3]
    assert found.mean == pytest.approx(sum(kept))
    assert found.never == pytest.approx(kept[-1])


def test_influence_is_what_leaving_a_place_out_changes() -> None:
    rng = np.random.default_rng(1)
    length = rng.integers(3, 40, 500)
    delays = np.where(rng.random(500) < 0.6, rng.integers(0, 20, 500), 20)
    delays = np.where(delays + 3 <= length, delays, 20)
    whole = survival(delays, length, 20)
    assert whole.influence.sum() == pytest.approx(0, abs=1e-9)
    for place in (0, 3, 100):
        kept = np.arange(500) != place
        moved = survival(delays[kept], length[kept], 20).mean - whole.mean
        assert moved == pytest.approx(-whole.influence[place], abs=3e-3)


def test_a_state_that_hardly_changes_has_no_clock() -> None:
    few = FEWEST // 2 - 1
    labels = text(state("topic", runs(few, 3, 20, seed=0)), documents=few)
    assert Clock.of(labels.slow[0], labels, 4, 0) is None
    still = text(state("topic", np.repeat(np.arange(40) % 3, LENGTH)), documents=40)
    assert Clock.of(still.slow[0], still, 4, 0) is None


def test_a_clock_without_a_place_to_compare_with_is_none() -> None:
    """Runs of three tokens: changes are seen, but no run has a token inside that is seen as long."""
    short = text(state("topic", runs(DOCUMENTS, 3, 3, seed=0)), documents=DOCUMENTS)
    assert Clock.of(short.slow[0], short, 4, 0) is None
    longer = text(state("topic", runs(DOCUMENTS, 3, 4, seed=0)), documents=DOCUMENTS)
    assert Clock.of(longer.slow[0], longer, 4, 0) is not None


def test_a_clock_needs_labels_in_both_halves() -> None:
    one = text(state("topic", np.where(LABELS.half == 1, LABEL, -1)), documents=DOCUMENTS)
    assert Clock.of(one.slow[0], one, 4, 0) is None


def test_the_clock_starts_inside_runs_of_the_old_value_for_comparison() -> None:
    clock = Clock.of(LABELS.slow[0], LABELS, 4, 0)
    assert clock is not None
    starts, left = LABELS.left(LABELS.slow[0])
    points = clock.controls
    assert len(points.start) == 4 * len(clock.changes.start)
    assert (LABEL[points.start] == points.old).all()
    assert (points.old != points.new).all()
    assert not starts[points.start].any()
    assert (points.length == left[points.start]).all()
    assert (LABEL[clock.changes.start] == clock.changes.new).all()
    assert (LABEL[clock.changes.start - 1] == clock.changes.old).all()
