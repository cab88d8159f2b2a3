"""How much of what could be asked the comparison answers: pairs told apart or shown equal, of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.compare.standing import Group, Standing


def resolved(groups: Sequence[Group]) -> dict[str, Any]:
    """How many pairs of rows are told apart or shown equal: per score and L0, per source, and in all."""
    rows = [
        {
            "source": group.source, "target": group.target, "name": each.column.name,
            "title": each.column.title, "pairs": group.pairs, "told_apart": each.told_apart,
            "equal": each.equal, "share": _share([(group, each)]),
        }
        for group in groups
        for each in group.scores
    ]  # fmt: skip
    every = [(group, each) for group in groups for each in group.scores]
    return {
        "columns": rows,
        **{name: _share([pair for pair in every if pair[0].source == name]) for name in ("text", "truth")},
        "all": _share(every),
    }


def _share(found: Sequence[tuple[Group, Standing]]) -> float | None:
    pairs = sum(group.pairs for group, _ in found)
    known = sum(each.told_apart + each.equal for _, each in found)
    return round(known / pairs, 4) if pairs else None
