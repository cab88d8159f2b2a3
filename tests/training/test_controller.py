"""The sparsity controller on a simulated dictionary whose L0 follows the coefficient with a lag."""

from __future__ import annotations

import math

import pytest

from pipeline.training.controller import FREEZE, MAX_MOVE, SparsityController

STEPS = 1500


def simulate(target: int, start: float, slope: float, lag: float, steps: int = STEPS) -> tuple[
    SparsityController, list[float], list[float]
]:  # fmt: skip
    """log L0 relaxes in `lag` steps towards log(start) - slope * log(1 + coefficient); alternating noise."""
    controller = SparsityController(target, 0.01, steps)
    level, levels, coefficients = math.log(start), [], []
    for step in range(steps):
        rest = math.log(start) - slope * math.log1p(controller.coefficient)
        level += (rest - level) / lag
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
    controller = SparsityController(1, 1.0, STEPS)
    for step, l0 in enumerate((1e4, 0.0, 1e6, 0.0, 3.0) * 100):
        before = controller.coefficient
        controller.update(l0, step)
        assert abs(math.log(controller.coefficient / before)) <= MAX_MOVE * (1 + 1e-9)
        assert math.isfinite(controller.coefficient)


def test_setpoint_is_geometric_and_ends_on_the_target() -> None:
    controller = SparsityController(8, 0.01, STEPS)
    controller.update(512.0, 0)
    assert math.exp(controller.setpoint(0)) == pytest.approx(512)
    logs = [controller.setpoint(step) for step in range(STEPS)]
    falling = [step for step in range(1, STEPS) if logs[step] < logs[step - 1] - 1e-12]
    drops = [logs[step - 1] - logs[step] for step in falling[:-1]]
    assert max(drops) == pytest.approx(min(drops))  # a constant factor per step
    assert falling == [*range(1, falling[-1] + 1)]
    assert falling[-1] <= 0.5 * STEPS
    assert math.exp(logs[-1]) == pytest.approx(8)


def test_direction() -> None:
    """Too many active latents raise the coefficient, too few lower it."""
    for l0, rises in ((60.0, True), (1.0, False)):
        controller = SparsityController(8, 1.0, STEPS)
        controller.start = math.log(8)
        controller.level = math.log(l0)
        controller.update(l0, STEPS // 2)
        assert (controller.coefficient > 1.0) == rises
