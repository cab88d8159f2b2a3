"""From the evaluations' item tables to scores under resampling, checked against the reported values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.compare.columns import Column, Key
from pipeline.compare.paired.items import Sums
from pipeline.compare.scores import Scores, Source, each_row
from pipeline.console.errors import BadInput
from pipeline.numbers.definition import Items
from pipeline.numbers.document import stage_of
from pipeline.sae.core.index import EXTERNAL

Which = tuple[Key, str, str, int]
"""(column, label, run, seed)."""
Reader = Callable[[str, str, str], pd.DataFrame]
"""(stage, variant, file) to that table."""

TOLERANCE = 1e-6
"""Tables hold nine significant digits."""


@dataclass(frozen=True)
class Resampled:
    """One SAE's score under each resample (R,) of its N items; NaN where one leaves it undefined."""

    draws: np.ndarray
    items: int


Draws = Mapping[Which, Resampled]


def resample(scores: Scores, read: Reader) -> dict[Which, Resampled]:
    """Each SAE's scores under resampling, for columns whose items are listed and rows with an L0 target.

    Raises BadInput when a table lacks an SAE, gives another value than results.json, or lists other items
    for one SAE than for another.
    """
    found: dict[Which, Resampled] = {}
    for column in scores.text.scores:
        headline = scores.definitions[column.key].headline
        if headline is not None and headline.items is not None:
            found |= _column(column, headline.items, scores.text, read)
    return found


def _column(column: Column, items: Items, source: Source, read: Reader) -> dict[Which, Resampled]:
    found: dict[Which, Resampled] = {}
    first: tuple[Sums, str] | None = None
    for variant, saes in (
        source.values(column.key).dropna(subset=["value", "target"]).groupby("variant", sort=False)
    ):
        table = read(column.stage, str(variant), items.table)
        place = f"{items.table} of {column.stage} for {variant}"
        elsewhere = bool((saes.reading == EXTERNAL).any())
        remedy = f"run `dvc repro -f {stage_of(column.stage, str(variant), elsewhere)}`"
        rows = dict(iter(table.groupby(["label", "seed", "run"], sort=False)))
        for sae in each_row(saes):
            which = f"seed {sae.seed}, run {sae.run}"
            if (sae.label, sae.seed, sae.run) not in rows:
                raise BadInput(f"{place} has no rows for {which}: {remedy}.")
            try:
                sums = Sums.of(rows[sae.label, sae.seed, sae.run], items)
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(f"{place} is damaged ({error!r}): {remedy}.") from None
            first = first or (sums, place)
            if sums.names != first[0].names:
                raise BadInput(f"{place} lists other {items.unit} than {first[1]}: {remedy}.")
            if not abs(sums.value() - sae.value) <= TOLERANCE * max(1.0, abs(sae.value)):
                raise BadInput(
                    f"{place} gives {column.metric} {sums.value():.9g} for {which}, "
                    f"but results.json says {sae.value:.9g}: {remedy}."
                )
            draws = sums.draws()
            known = np.where(np.isfinite(draws), draws, np.nan)
            found[column.key, sae.label, sae.run, sae.seed] = Resampled(known, len(sums.names))
    return found
