"""The interval of every number of the headline tables, at the L0 that its SAEs reached.

The rows of one L0 target share their noise (variance.py). A row without a target has only its own: nothing
stands beside it at the same L0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isinf

import numpy as np
import pandas as pd

from pipeline.compare.columns import Column, Key
from pipeline.compare.paired.comparison import ONE_PAIR, UNDEFINED
from pipeline.compare.paired.estimate import Estimate
from pipeline.compare.paired.resampling import Draws
from pipeline.compare.paired.variance import Table, Values
from pipeline.compare.scores import Name, Run, Scores, Source, each_row

Numbers = Mapping[tuple[str, str], pd.DataFrame]
"""One column's numbers by label and run."""
Place = tuple[Name, str, str, Key]
"""(source, label, run, column)."""


@dataclass(frozen=True)
class Reached:
    """A mean over seeds with its interval, or the reason why there is none."""

    estimate: Estimate | None
    reason: str | None = None


def reached(scores: Scores, draws: Draws) -> dict[Place, Reached]:
    """Every headline number of every run."""
    return {
        (source.name, run.label, run.name, column.key): found
        for source in scores
        for column in source.columns
        for numbers in [_by_run(source.values(column.key))]
        for runs in _tables(source.runs)
        for run, found in _together(source, column, runs, numbers, draws)
    }


def _by_run(numbers: pd.DataFrame) -> Numbers:
    return {(str(label), str(run)): rows for (label, run), rows in numbers.groupby(["label", "run"])}


def _tables(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of one target together, each without a target by itself."""
    targets = dict.fromkeys(run.target for run in runs if run.target is not None)
    return [
        *([run for run in runs if run.target == target] for target in targets),
        *([run] for run in runs if run.target is None),
    ]


def _together(
    source: Source, column: Column, runs: Sequence[Run], numbers: Numbers, draws: Draws
) -> Iterator[tuple[Run, Reached]]:
    values = {run.label: _values(source, column, run, numbers, draws) for run in runs}
    known = {label: each for label, each in values.items() if isinstance(each, Values)}
    rows = [each.of_pairs if column.pairs_of_seeds else each for each in known.values()]
    missed = [run.missed for run in runs if run.label in known]
    table = Table.of(rows, missed) if rows else None
    places = {label: place for place, label in enumerate(known)}
    for run in runs:
        given = values[run.label]
        if isinstance(given, str) or table is None:
            yield run, Reached(None, str(given))
        else:
            yield run, _found(table.mean(places[run.label]))


def _values(source: Source, column: Column, run: Run, numbers: Numbers, draws: Draws) -> Values | str:
    """The run's value at each seed, or why it has no interval."""
    found = source.summary(run, column.key)
    if found.seeds < found.of or not found.of:
        return f"{found.seeds} of {found.of} seeds have a value"
    if found.of == 1:
        return "one training seed shows no spread"
    if column.pairs_of_seeds and found.of == 2:
        return ONE_PAIR
    rows = list(each_row(numbers[run.label, run.name]))
    drawn = [draws.get((column.key, run.label, run.name, row.seed)) for row in rows]
    values = np.array([row.value for row in rows], dtype=np.float64)
    complete = [each for each in drawn if each is not None]
    if len(complete) < len(rows):
        return Values(values)
    return Values(values, np.stack([each.draws for each in complete], 1), complete[0].items)


def _found(estimate: Estimate) -> Reached:
    if estimate.error == 0:
        return Reached(None, "no spread at all over seeds")
    if isinf(estimate.error):
        return Reached(None, UNDEFINED)
    return Reached(estimate)


def intervals_json(scores: Scores, found: Mapping[Place, Reached]) -> dict[str, dict[str, dict[str, object]]]:
    """{label: {run: {headline: its interval}}}, ground truth as runs of its own."""
    cells: dict[str, dict[str, dict[str, object]]] = {}
    for source in scores:
        prefix = "truth-" if source.name == "truth" else ""
        columns = source.columns if not prefix else source.scores
        for run in source.runs:
            row = cells.setdefault(run.label, {}).setdefault(prefix + run.name, {})
            for column in columns:
                row[column.name] = _given(found[source.name, run.label, run.name, column.key])
    return cells


def _given(found: Reached) -> dict[str, object]:
    if found.estimate is None:
        return {"reason": found.reason}
    each = found.estimate
    numbers = {"low": each.low, "high": each.high, "error": each.error, "df": each.df}
    return {name: float(f"{value:.6g}") for name, value in numbers.items()}
