"""Mean and mean squared norm of rows that arrive in pieces."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Moments:
    """Sums in float64 over the rows added, in the order added."""

    def __init__(self, d: int) -> None:
        self.rows = 0
        self._sum = torch.zeros(d, dtype=torch.float64)
        self._squares = 0.0

    def add(self, x: Tensor) -> None:
        """Add rows (n, d)."""
        wide = x.to(torch.float64)
        self.rows += len(wide)
        self._sum += wide.sum(0)
        self._squares += float((wide * wide).sum())

    @property
    def mean(self) -> Tensor:
        """(d,) float64."""
        return self._sum / self.rows

    @property
    def mean_squared_norm(self) -> float:
        """Mean of ||x||^2, not centred."""
        return self._squares / self.rows

    @property
    def scale(self) -> float:
        """sqrt(d / mean squared norm): the factor after which the mean squared norm is d."""
        return math.sqrt(len(self._sum) / self.mean_squared_norm)
