"""The sparsity controller on a simulated dictionary whose L0 follows the coefficient with a lag."""

from __future__ import annotations

import math

import pytest

from pipeline.training.controller import FLOOR, FREEZE, MAX_MOVE, SparsityController

STEPS, RAMP = 1500, 0.4


def simulate(
    target: int,
    start: float,
    slope: float,
    lag: float,
    steps: int = STEPS,
    ramp: float = RAMP,
    falls_to: float = 1.0,
) -> tuple[SparsityController, list[float], list[float]]:
    """log L0 relaxes in `lag` steps towards log(start) - slope * log(1 + coefficient); alternating noise.

    Over the first tenth `start` falls by itself by the factor `falls_to`, as a dictionary that learns does.
    """
    controller = SparsityController(target, 0.01, steps, ramp)
    level, levels, coefficients = math.log(start), [], []
    for step in range(steps):
        alone = math.log(start) + math.log(falls_to) * min(step / (0.1 * steps), 1)
        level += (alone - slope * math.log1p(controller.coefficient) - level) / lag
        controller.update(math.exp(level + 0.02 * (-1) ** step), step)
        levels.append(math.exp(level))
        coefficients.append(controller.coefficient)
    return controller, levels, coefficients


@pytest.mark.parametrize(
    ("target", "start", "slope", "lag"),
    [(4, 500, 2.0, 10), (16, 500, 2.0, 30), (16, 300, 3.0, 10), (40, 8000, 2.0, 20), (100, 400, 1.5, 20)],
)
def test_meets_the_target_of_a_lagging_plant(target: int, start: float, slope: float, lag: float) -> None:
    _, levels, _ = simulate(target, start, slope, lag)
    assert levels[-1] == pytest.approx(target, rel=0.1)
    assert min(levels) > target / 3  # no collapse on the way


def test_frozen_at_the_end() -> None:
    _, _, coefficients = simulate(16, 500, 2.0, 20)
    frozen = math.ceil(FREEZE * STEPS)
    assert len(set(coefficients[frozen:])) == 1
    assert len(set(coefficients[frozen - 20 : frozen])) > 1


def test_moves_are_bounded() -> None:
    controller = SparsityController(1, 1.0, STEPS, RAMP)
    for step, l0 in enumerate((1e4, 0.0, 1e6, 0.0, 3.0) * 100):
        before = controller.coefficient
        controller.update(l0, step)
        assert abs(math.log(controller.coefficient / before)) <= MAX_MOVE * (1 + 1e-9)
        assert math.isfinite(controller.coefficient)


def test_log_l0_falls_all_along_the_ramp() -> None:
    _, levels, _ = simulate(8, 512, 2.0, 5)
    logs = [math.log(level) for level in levels]
    end = round(RAMP * STEPS)
    drops = [logs[step] - logs[step + 100] for step in range(50, end - 100, 50)]
    assert min(drops) > 0
    assert max(drops) < 2 * sum(drops) / len(drops)  # no cliff
    assert levels[end + 75] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("target", [4, 16])
@pytest.mark.parametrize("ramp", [0.1, 0.4])
def test_the_target_is_there_at_the_end_of_the_ramp_and_is_not_overshot(target: int, ramp: float) -> None:
    """L0 falls to a quarter by itself: the coefficient is not unwound meanwhile, so it need not come back."""
    _, levels, coefficients = simulate(target, 500, 2.0, 10, ramp=ramp, falls_to=0.25)
    reached = next(step for step, level in enumerate(levels) if level < 1.1 * target)
    assert 0.5 * ramp * STEPS < reached < (ramp + 0.05) * STEPS
    assert min(levels) > 0.8 * target
    assert min(coefficients) > 1e-3
    assert max(coefficients) < 1.6 * coefficients[-1]


def test_direction() -> None:
    """Too many active latents raise the coefficient, too few lower it."""
    for l0, rises in ((60.0, True), (1.0, False)):
        controller = SparsityController(8, 1.0, STEPS, RAMP)
        controller.level = math.log(l0)
        controller.update(l0, STEPS // 2)
        assert (controller.coefficient > 1.0) == rises


@pytest.mark.parametrize("floor", [0.0, FLOOR * 0.01])
def test_comes_back_when_l0_lay_below_the_target_for_long(floor: float) -> None:
    """A plant that is too sparse by itself until the last sixth of the run, as under a rate too high."""
    controller = SparsityController(32, 0.01, STEPS, RAMP, floor)
    level, late = math.log(20), 5 * STEPS // 6
    for step in range(STEPS):
        alone = math.log(20 if step < late else 200)
        level += (alone - 2 * math.log1p(10 * controller.coefficient) - level) / 20
        controller.update(math.exp(level), step)
        assert controller.coefficient >= floor
    came_back = math.exp(level) < 1.1 * 32
    assert came_back == (floor > 0)
