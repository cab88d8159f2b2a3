"""Which rows of a column may be called best: only what seeds can tell apart.

The best mean is marked `best` when its range over seeds touches no other row's range. Otherwise it
and every row whose range touches its own are marked `tied`. Rows that missed their L0 target, lack a
seed or have one seed only take no part; a column where fewer than two rows take part has no marks.
Ours: ranges, because two or three seeds carry no better interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pipeline.report.headline import Better
from pipeline.report.summary import Summary

Mark = Literal["", "best", "tied"]


def marks(column: Sequence[Summary], fair: Sequence[bool], better: Better) -> list[Mark]:
    """One mark per row of `column`; `fair` says which rows sit at the group's L0."""
    result: list[Mark] = [""] * len(column)
    running = [i for i, cell in enumerate(column) if fair[i] and _complete(cell)]
    if better == "neither" or len(running) < 2:
        return result
    sign = 1.0 if better == "higher" else -1.0
    best = max(running, key=lambda i: sign * (column[i].mean or 0.0))
    tied = [i for i in running if column[i].overlaps(column[best])]
    for i in tied:
        result[i] = "tied" if len(tied) > 1 else "best"
    return result


def _complete(cell: Summary) -> bool:
    return cell.mean is not None and cell.seeds == cell.of and cell.seeds > 1
