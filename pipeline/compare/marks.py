"""Which rows of a column may be called best: only what the paired tests tell apart.

The best mean is marked `best` when the comparison (pipeline/compare/paired) finds it better than every
other row. Otherwise it and every row that it is not found better than are marked `tied`. Rows that
missed their L0 target or lack a seed take no part; a column where fewer than two rows take part, or
where nothing could be compared, has no marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pipeline.compare.headline import Better
from pipeline.compare.summary import Summary

Mark = Literal["", "best", "tied"]
Beats = Callable[[int, int], bool | None]
"""Whether the first row is found better than the second; None where they were not compared."""


def marks(column: Sequence[Summary], fair: Sequence[bool], better: Better, beats: Beats) -> list[Mark]:
    """One mark per row of `column`; `fair` says which rows sit at the group's L0."""
    result: list[Mark] = [""] * len(column)
    running = [i for i, cell in enumerate(column) if fair[i] and _complete(cell)]
    if better == "neither" or len(running) < 2:
        return result
    sign = 1.0 if better == "higher" else -1.0
    best = max(running, key=lambda i: sign * (column[i].mean or 0.0))
    verdicts = {i: beats(best, i) for i in running if i != best}
    if all(verdict is None for verdict in verdicts.values()):
        return result
    tied = [best, *(i for i, beaten in verdicts.items() if not beaten)]
    for i in tied:
        result[i] = "tied" if len(tied) > 1 else "best"
    return result


def _complete(cell: Summary) -> bool:
    return cell.mean is not None and cell.seeds == cell.of
