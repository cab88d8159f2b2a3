"""How much of what could be asked the comparison answers: pairs told apart or shown equal, of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.compare.standing import Level, Standing


def resolved(levels: Sequence[Level]) -> dict[str, Any]:
    """How many pairs of rows are told apart or shown equal: per score and L0, per source, and in all."""
    rows = [
        {
            "source": level.source, "target": level.target, "name": each.column.name,
            "title": each.column.title, "pairs": level.pairs, "told_apart": each.told_apart,
            "equal": each.equal, "share": _share([(level, each)]),
        }
        for level in levels
        for each in level.scores
    ]  # fmt: skip
    every = [(level, each) for level in levels for each in level.scores]
    return {
        "columns": rows,
        **{name: _share([pair for pair in every if pair[0].source == name]) for name in ("text", "truth")},
        "all": _share(every),
    }


def _share(found: Sequence[tuple[Level, Standing]]) -> float | None:
    pairs = sum(level.pairs for level, _ in found)
    known = sum(each.told_apart + each.equal for _, each in found)
    return round(known / pairs, 4) if pairs else None
