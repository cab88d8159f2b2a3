"""study/items.tsv: what common items add to the variance of a difference of two rows of one language model.

Both rows are measured on the same contexts, words and texts, so that more SAE seeds do not narrow this part.
It is the mean covariance of two seeds' differences when the items are drawn again, the same for both rows
(pipeline/compare/paired/variance.py), kept because the tables of items are too large for git. Several
language models have texts of their own: there it is part of their spread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.compare.paired.items import Sums
from pipeline.compare.paired.variance import Values, covariance
from pipeline.numbers.definition import Items
from pipeline.numbers.document import Results, read_beside
from pipeline.numbers.table import Columns, read_table, write_table
from pipeline.study.found import Held
from pipeline.study.gather import COMMAND, FOLDER
from pipeline.study.section import Study
from pipeline.study.workspace import Workspace

FILE = FOLDER / "items.tsv"
COLUMNS: Columns = {
    "block": str, "model": str, "row": str, "against": str, "outcome": str, "targets": str, "items": int,
    "variance": float,
}  # fmt: skip
Drawn = Mapping[tuple[str, int], Mapping[int, tuple[np.ndarray, int]]]
"""Of a label and target, by seed: the score under each resample of the items, and how many these are."""


def items(study: Study, found: Iterable[tuple[Workspace, Held]]) -> list[dict[str, Any]]:
    """A row per comparison of study.yaml, outcome with items, language model and set of L0 targets."""
    return [
        {"block": space.block, "model": space.model, **row}
        for space, held in found
        for row in _of_space(study, space, held)
    ]


def _of_space(study: Study, space: Workspace, held: Held) -> Iterator[dict[str, Any]]:
    pairs = study.blocks[space.block].compared
    labels = {label for each in pairs for label in (each.row, each.against)}
    for outcome in dict.fromkeys(name for each in pairs for name in each.outcomes):
        drawn = _drawn(space, held, outcome, labels)
        for each in pairs:
            if outcome in each.outcomes:
                for row in _of_pair(drawn, each.row, each.against):
                    yield {"row": each.row, "against": each.against, "outcome": outcome, **row}


def _of_pair(drawn: Drawn, first: str, second: str) -> Iterator[dict[str, Any]]:
    common = sorted({target for label, target in drawn if label == first and (second, target) in drawn})
    for size in range(1, len(common) + 1):
        for targets in combinations(common, size):
            parts = [(drawn[first, target], drawn[second, target]) for target in targets]
            seeds = sorted(set.intersection(*({*a} & {*b} for a, b in parts)))
            if len(seeds) < 2:
                continue
            gaps = np.stack([np.mean([a[seed][0] - b[seed][0] for a, b in parts], 0) for seed in seeds], 1)
            count = parts[0][0][seeds[0]][1]
            variance = covariance(Values(np.zeros(len(seeds)), gaps, count))
            if variance is not None:
                yield {"targets": _named(targets), "items": count, "variance": variance}


def _drawn(space: Workspace, held: Held, outcome: str, labels: Collection[str]) -> Drawn:
    found: dict[tuple[str, int], dict[int, tuple[np.ndarray, int]]] = {}
    for results in held.results.values():
        items = _items(results, outcome)
        if items is None:
            continue
        folder = space.results(results.evaluation, results.variant)
        table = read_beside(folder, results, items.table)
        rows = dict(iter(table.groupby(["label", "seed", "run"], sort=False)))
        for sae in (row.identity for row in results.rows if row.identity.label in labels):
            part = rows.get((sae.label, sae.seed, sae.run))
            if part is not None and sae.target is not None:
                sums = Sums.of(part, items)
                draws = sums.draws()
                known = np.where(np.isfinite(draws), draws, np.nan)
                found.setdefault((sae.label, int(sae.target)), {})[sae.seed] = known, len(sums.names)
    return found


def _items(results: Results, outcome: str) -> Items | None:
    """Where the items of the headline `outcome` are listed; known truth draws its seeds' sources anew."""
    shown = [each.headline for each in results.definitions.values() if each.headline is not None]
    return None if results.own_saes else next((each.items for each in shown if each.name == outcome), None)


def _named(targets: Sequence[int]) -> str:
    return " ".join(map(str, targets))


def write(rows: Iterable[Mapping[str, Any]]) -> None:
    """Write study/items.tsv."""
    write_table(FILE, COLUMNS, rows)


def read(root: Path = Path()) -> dict[tuple[str, ...], tuple[float, int]]:
    """Variance and items by block, model, row, against, outcome and targets; raises BadInput if damaged."""
    table = read_table(root / FILE, COLUMNS, COMMAND)
    return {tuple(row[:6]): (float(row[7]), int(row[6])) for row in table.itertuples(index=False)}
