"""From estimates to verdicts: several comparisons judged together.

Two questions are asked of every difference, each with an error of 5 % over its whole family by Holm's method
(Holm 1979, Scandinavian Journal of Statistics 6:65): whether it is none, and whether it is within the
margin that was stated beforehand. A pair that is both, surely different by less than what counts, is equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.compare.paired.estimate import LEVEL, Estimate
from pipeline.numbers.definition import Better

Verdict = Literal["better", "worse", "equal within margin", "not distinguishable", "not compared"]
SIGNS: dict[Verdict, str] = {
    "better": "▲", "worse": "▼", "equal within margin": "=", "not distinguishable": "~", "not compared": "",
}  # fmt: skip
RESOLVED: tuple[Verdict, ...] = ("better", "worse", "equal within margin")
"""The verdicts that answer the question."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on one difference; without a margin nothing is tested for equality."""

    verdict: Verdict
    p: float
    p_holm: float
    p_equal: float | None = None
    p_equal_holm: float | None = None


def judge(
    found: Sequence[Estimate], allowances: Sequence[float], better: Better, margin: float | None
) -> list[Judgement]:
    """The verdicts on differences that make one family.

    `allowances`: the part of each that says nothing, because it may come from unequal L0.
    """
    p = [each.p(allowance) for each, allowance in zip(found, allowances, strict=True)]
    different = holm(np.array(p)).tolist()
    if margin is None:
        rows = zip(found, p, different, strict=True)
        return [Judgement(_verdict(each, adjusted, better), q, adjusted) for each, q, adjusted in rows]
    inside = [each.p_equal(margin, allowance) for each, allowance in zip(found, allowances, strict=True)]
    equal = holm(np.array(inside)).tolist()
    return [
        Judgement("equal within margin" if e < 1 - LEVEL else _verdict(each, d, better), q, d, r, e)
        for each, q, d, r, e in zip(found, p, different, inside, equal, strict=True)
    ]


def _verdict(found: Estimate, adjusted: float, better: Better) -> Verdict:
    if adjusted >= 1 - LEVEL:
        return "not distinguishable"
    return "better" if (found.value > 0) == (better == "higher") else "worse"


def holm(p: np.ndarray) -> np.ndarray:
    """`p` (..., P) adjusted so that at most 5 % of families of P comparisons hold a false one.

    By hand: SciPy has no Holm's method.
    """
    order = np.argsort(p, axis=-1, kind="stable")
    factors = np.arange(p.shape[-1], 0, -1)
    rising = np.maximum.accumulate(np.take_along_axis(p, order, -1) * factors, axis=-1)
    adjusted = np.empty_like(rising)
    np.put_along_axis(adjusted, order, np.minimum(rising, 1.0), -1)
    return adjusted
