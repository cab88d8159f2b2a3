"""How far another language model moves a number, beside the interval that is printed for the shipped one.

The intervals of the default run (reports/intervals.json) hold SAE seeds and items of one language model.
Whoever trains the model anew draws another one, with other texts; the study has several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compare.paired.models import over_models
from pipeline.compare.paired.variance import Table
from pipeline.study.answers import Answers
from pipeline.study.gather import TEXT, WHO, met
from pipeline.study.words import NOT_RUN

Cells = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Of intervals.json: label, run and headline to an interval."""
HEAD = (
    "score", "L0", "SD, SAE seeds", "SD, language models", "half of the printed interval",
    "half of one with the model in it", "other models' means inside the printed one",
)  # fmt: skip


def means(rows: pd.DataFrame, model: str) -> dict[str, dict[str, dict[str, float]]]:
    """label: {run: {headline: mean over seeds}} of one language model.

    Of an SAE that several blocks have the first counts.
    """
    here = rows[rows.model == model].drop_duplicates(["label", "seed", "target"])
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (label, target), part in here.groupby(["label", "target"]):
        values = part.drop(columns=[*WHO]).dropna(axis=1).mean()
        found.setdefault(str(label), {})[f"l0-{target}"] = {str(name): float(v) for name, v in values.items()}
    return found


@dataclass(frozen=True)
class Moved:
    """One score at one L0 target: medians over methods."""

    title: str
    target: int
    decimals: int
    seed: float  # standard deviation between SAE seeds of one language model
    model: float  # between language models, beyond what their SAE seeds explain
    printed: float | None  # half of the default run's interval
    widened: float  # half of the interval of a mean over the models here, their spread in it
    inside: int  # means of models other than the shipped one in the printed interval
    of: int


def moved(rows: pd.DataFrame, columns: pd.DataFrame, printed: Cells, shipped: str) -> Iterator[Moved]:
    """Every score and target that two or more methods have, and met, on two or more language models."""
    unique = rows[met(rows)].drop_duplicates(["model", "label", "seed", "target"])
    for meant in columns[columns.table == TEXT].to_dict("records"):
        name = meant["name"]
        for target in sorted(unique.target.unique()):
            grid = _grid(unique[(unique.target == target) & unique[name].notna()], name, shipped)
            if len(grid) < 2:
                continue
            cells = {label: printed.get(label, {}).get(f"l0-{target}", {}).get(name, {}) for label in grid}
            known = {label: (cell["low"], cell["high"]) for label, cell in cells.items() if "low" in cell}
            inside = [_inside(grid[label][1:].mean(1), *ends) for label, ends in known.items()]
            halves = [(high - low) / 2 for low, high in known.values()]
            yield Moved(
                meant["title"], int(target), meant["decimals"], *_spread(np.stack([*grid.values()])),
                printed=float(np.median(halves)) if halves else None, widened=_widened(grid),
                inside=sum(map(sum, inside)), of=sum(map(len, inside)),
            )  # fmt: skip


def _inside(means: np.ndarray, low: float, high: float) -> list[bool]:
    return [bool(low <= mean <= high) for mean in means]


def _spread(values: np.ndarray) -> tuple[float, float]:
    """Standard deviations between SAE seeds and between models of `values` (methods, models, seeds)."""
    seeds = values.shape[2]
    within = float(np.median(values.var(2, ddof=1).mean(1))) if seeds > 1 else 0.0
    between = float(np.median(values.mean(2).var(1, ddof=1))) - within / seeds
    return within**0.5, max(between, 0.0) ** 0.5


def _widened(grid: Mapping[str, np.ndarray]) -> float:
    table = Table.of([over_models(each) for each in grid.values()])
    return float(np.median([table.mean(i).half for i in range(len(grid))]))


def _grid(rows: pd.DataFrame, column: str, shipped: str) -> dict[str, np.ndarray]:
    """By label (models, seeds), the shipped model first: labels with all models and seeds that there are."""
    models = sorted(rows.model.unique(), key=lambda name: (name != shipped, name))
    if len(models) < 2 or models[0] != shipped:
        return {}
    found = {}
    for label, part in rows.groupby("label"):
        square = part.pivot(index="model", columns="seed", values=column).reindex(models).to_numpy(float)
        if np.isfinite(square).all() and square.shape[1] == rows.seed.nunique():
            found[str(label)] = square
    return found


def table(answers: Answers, printed: Cells) -> str:
    """A row per score and target, and how many means lie inside in all."""
    shipped = next(iter(answers.study.models))
    found = list(moved(answers.tables[TEXT], answers.tables["columns"], printed, shipped))
    if not found:
        return f"{NOT_RUN.capitalize()}: no method has its SAEs on two language models yet."
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ("---",) * len(HEAD), *map(_cells, found))]
    inside, of = sum(each.inside for each in found), sum(each.of for each in found)
    share = f" ({inside / of:.0%})" if of else ""
    return "\n".join([*lines, "", f"In all {inside} of {of} means{share} lie inside the printed intervals."])


def _cells(each: Moved) -> tuple[str, ...]:
    numbers = (each.seed, each.model, each.printed, each.widened)
    shown = ("" if value is None else f"{value:.{each.decimals}f}" for value in numbers)
    return each.title, str(each.target), *shown, f"{each.inside} of {each.of}"
