"""Which rows of a column lead: only what the paired tests tell apart.

The best value leads alone when the comparison (pipeline/compare/paired) finds it better than every other
row. Otherwise it and every row that it is not found better than are tied. Nobody leads where fewer than
two rows take part or where nothing could be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pipeline.numbers.definition import Better

Mark = Literal["", "best", "tied"]
Beats = Callable[[str, str], bool | None]
"""Whether the first row is found better than the second; None where they were not compared."""


def leaders(values: Mapping[str, float], better: Better, beats: Beats) -> list[str]:
    """The labels of `values` that lead, the best value first."""
    if better == "neither" or not values:
        return []
    sign = -1.0 if better == "higher" else 1.0
    best, *others = sorted(values, key=lambda label: sign * values[label])
    beaten = {label: beats(best, label) for label in others}
    if all(verdict is None for verdict in beaten.values()):
        return []
    return [best, *(label for label in others if not beaten[label])]


def marks(leading: list[str]) -> dict[str, Mark]:
    """How each of the `leading` rows is marked."""
    return dict.fromkeys(leading, "best" if len(leading) == 1 else "tied")
