"""A score, and how much each document moves it: what intervals and paired comparisons draw again.

An area under a curve is no mean over documents. To first order it is: with its influence function (the
infinitesimal jackknife, Efron 1982), a score is the mean of one pseudo-value per document, and documents can
be drawn again by drawing these. For AUC this is DeLong's variance (1988) with documents as clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics.common.resampling import Resampling, estimate, ratio
from pipeline.numbers.number import Number, missing


@dataclass(frozen=True)
class Estimate:
    """A score over D documents; its `influence` (D,) sums to zero."""

    value: float
    influence: np.ndarray

    @property
    def items(self) -> np.ndarray:
        """(D,) pseudo-values, whose mean is the score."""
        return self.value + len(self.influence) * self.influence

    def number(self, plan: Resampling) -> Number:
        """With its interval over documents."""
        sums = {"score": self.items, "documents": np.ones(len(self.influence))}
        return estimate(sums, ratio("score", "documents"), len(self.influence), plan)


def mean(parts: Sequence[Estimate]) -> Estimate | None:
    """The mean of scores over the same documents; None of none."""
    if not parts:
        return None
    return Estimate(
        float(np.mean([part.value for part in parts])), np.mean([part.influence for part in parts], axis=0)
    )


def reported(found: Estimate | None, plan: Resampling, reason: str) -> Number:
    """`found` as a number, missing for `reason`."""
    return missing(reason) if found is None else found.number(plan)
