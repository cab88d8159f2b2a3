"""From the evaluations' item tables to scores under resampling, checked against the reported values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.compare.board import Board, Entry
from pipeline.compare.headline import SCORES, Headline
from pipeline.compare.paired.comparison import Sampled, Which
from pipeline.compare.paired.items import TABLES, Items, Table
from pipeline.console.errors import BadInput

Rows = Sequence[Mapping[str, Any]]
Reader = Callable[[str, str, str], Rows]
"""(stage, variant, file) to the rows of that table."""

TOLERANCE = 1e-6
"""Tables hold nine significant digits."""


def sample(board: Board, read: Reader) -> dict[Which, Sampled]:
    """Each SAE's scores under resampling, for headlines whose items are listed and rows with an L0 target.

    Raises BadInput when a table lacks an SAE, gives another value than results.json, or lists other items
    for one SAE than for another.
    """
    found: dict[Which, Sampled] = {}
    for column in SCORES:
        if column.name in TABLES:
            found |= _column(column, TABLES[column.name], board.entries, read)
    return found


def _column(column: Headline, table: Table, entries: Iterable[Entry], read: Reader) -> dict[Which, Sampled]:
    found: dict[Which, Sampled] = {}
    first: tuple[Items, str] | None = None
    groups: dict[str, dict[tuple[Any, ...], list[Mapping[str, Any]]]] = {}
    for entry in entries:
        value = entry.get(column.key).value
        if value is None or entry.target is None:
            continue
        if entry.variant not in groups:
            groups[entry.variant] = _by_sae(read(table.stage, entry.variant, table.file))
        rows = groups[entry.variant].get((entry.label, entry.seed, entry.run), [])
        place = f"reports/{table.stage}/{entry.variant}/{table.file}"
        remedy = f"run `dvc repro -f {table.stage}@{entry.variant}`"
        if not rows:
            raise BadInput(f"{place} has no rows for seed {entry.seed}, run {entry.run}: {remedy}.")
        try:
            items = table.read({name: [row[name] for row in rows] for name in rows[0]})
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{place} is damaged ({error!r}): {remedy}.") from None
        first = first or (items, place)
        if items.names != first[0].names:
            raise BadInput(f"{place} lists other {table.unit} than {first[1]}: {remedy}.")
        if not abs(items.value() - value) <= TOLERANCE * max(1.0, abs(value)):
            raise BadInput(
                f"{place} gives {column.metric} {items.value():.9g} for seed {entry.seed}, run {entry.run}, "
                f"but results.json says {value:.9g}: {remedy}."
            )
        draws = items.draws()
        # a resample that leaves the score undefined says nothing of how it varies
        if np.isfinite(draws).all():
            found[column.name, entry.label, entry.run, entry.seed] = Sampled(draws, len(items.names))
    return found


def _by_sae(rows: Rows) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["label"], row["seed"], row["run"]), []).append(row)
    return groups
