"""The sparsity controller: moves a penalty's coefficient until the measured L0 meets the target.

Ours, because SAEs at different L0 cannot be compared and no fixed coefficient transfers between
methods. Integral control in log space, bounded per step. Over the first `ramp` of training log L0 is to fall
at the rate that takes it, from where it is now, to the target in the steps that are left; after that it is
to stay there. What L0 does by itself is so never undone: aiming at a line from the first L0 instead, the
coefficient shrank a thousandfold while L0 lay below that line, and came back three times too large.
The coefficient is frozen for the final 2 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FREEZE = 0.98
GAIN = 0.1
"""Of log(coefficient), per unit of log L0 and step.

Half of it, or a gain that shrinks with time, ends up to 13 % off the target in runs of 600 to 1500
steps, because the falling learning rate moves L0 again; this one at most 3 % in the same runs.
"""
MAX_MOVE = 0.05
"""Largest change of log(coefficient) per step."""
MEMORY = 0.8
"""Of the running averages that smooth log L0 and its slope."""
FLOOR = 0.1
"""Of the coefficient at the start: a run's lowest.

Runs of 400,000 tokens that met their targets stayed above a sixth of it, but for some of tsae and temporal.
A run that is too sparse by itself for a while (a mask, a rate too high, a collapse) otherwise lets it go to a
millionth and less, and cannot get it back when the falling learning rate lets L0 rise.
"""
HORIZON = 25
"""Steps in which the controller means to take back what L0 is too high: so far it looks along the slope.

The weights answer a coefficient only after tens of steps; without looking ahead the coefficient
overshoots a hundredfold and the dictionary collapses before it comes back.
"""


@dataclass
class SparsityController:
    """Coefficient of a penalty, steered by the batch's inference L0 over a run of `steps`."""

    target: int
    coefficient: float
    steps: int
    ramp: float  # share of the steps in which L0 falls to the target
    floor: float = 0.0  # the coefficient goes no lower
    level: float | None = None  # smoothed log L0; None before the first step
    slope: float = 0.0  # smoothed change of log L0 per step

    def wanted(self, step: int) -> float:
        """The change of log L0 per step that leads to the target at the end of the ramp; then, soon."""
        assert self.level is not None
        return (math.log(self.target) - self.level) / max(self.ramp * self.steps - step, HORIZON)

    def update(self, l0: float, step: int) -> None:
        """Take in the L0 of one batch (unmasked codes) and move the coefficient."""
        now = math.log(max(l0, 0.01))
        before = now if self.level is None else self.level
        self.level = MEMORY * before + (1 - MEMORY) * now
        self.slope = MEMORY * self.slope + (1 - MEMORY) * (self.level - before)
        if step >= FREEZE * self.steps:
            return
        excess = HORIZON * (self.slope - self.wanted(step))
        move = max(-MAX_MOVE, min(MAX_MOVE, GAIN * excess))
        self.coefficient = max(self.coefficient * math.exp(move), self.floor)
