"""The sparsity controller: moves a penalty's coefficient until the measured L0 meets the target.

Ours, because SAEs at different L0 cannot be compared and no fixed coefficient transfers between
methods. Integral control in log space, bounded per step. The setpoint falls geometrically from the
initial L0 to the target over the first two fifths of training, so that the coefficient warms up by
itself (in runs of about 1500 steps a fifth overshoots, and latents that die then do not come back);
the coefficient is frozen for the final 2 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RAMP, FREEZE = 0.4, 0.98
GAIN = 0.1
"""Of log(coefficient), per unit of log L0 and step.

Half of it, or a gain that shrinks with time, ends up to 13 % off the target in runs of 600 to 1500
steps, because the falling learning rate moves L0 again; this one at most 3 % in the same runs.
"""
MAX_MOVE = 0.05
"""Largest change of log(coefficient) per step."""
MEMORY = 0.8
"""Of the running averages that smooth log L0 and its slope."""
HORIZON = 25
"""Steps ahead that the controller looks along the slope.

The weights answer a coefficient only after tens of steps; without looking ahead the coefficient
overshoots a hundredfold and the dictionary collapses before it comes back.
"""


@dataclass
class SparsityController:
    """Coefficient of a penalty, steered by the batch's inference L0 over a run of `steps`."""

    target: int
    coefficient: float
    steps: int
    start: float | None = None  # log L0 at the first step
    level: float = 0.0  # smoothed log L0
    slope: float = 0.0  # smoothed change of log L0 per step

    def setpoint(self, step: float) -> float:
        """log of the L0 to aim for at `step`."""
        assert self.start is not None
        share = min(step / (RAMP * self.steps), 1.0)
        return (1 - share) * self.start + share * math.log(self.target)

    def update(self, l0: float, step: int) -> None:
        """Take in the L0 of one batch (unmasked codes) and move the coefficient."""
        now = math.log(max(l0, 0.01))
        if self.start is None:
            self.start = self.level = now
        before = self.level
        self.level = MEMORY * self.level + (1 - MEMORY) * now
        self.slope = MEMORY * self.slope + (1 - MEMORY) * (self.level - before)
        if step >= FREEZE * self.steps:
            return
        excess = self.level + HORIZON * self.slope - self.setpoint(step + HORIZON)
        self.coefficient *= math.exp(max(-MAX_MOVE, min(MAX_MOVE, GAIN * excess)))
