"""What the blocks' questions are answered with: differences of rows, with language models as a random factor.

A comparison is of two rows of one block over the L0 targets that all their SAEs met, mean over these targets;
all comparisons of a question are one family (Holm). Where a block has several language models their
spread is part of every interval (pipeline/compare/paired/models.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compare.paired.estimate import LEVEL, Estimate
from pipeline.compare.paired.models import compared, over_models
from pipeline.compare.paired.variance import Values
from pipeline.compare.paired.verdict import Verdict, holm
from pipeline.study.gather import TEXT, TRUTH
from pipeline.study.section import Block, Comparison


@dataclass(frozen=True)
class Finding:
    """One outcome of one comparison; without an estimate the reason why there is none."""

    row: str
    against: str
    outcome: str  # `truth.` before those on known truth
    title: str = ""
    better: str = "neither"
    decimals: int = 3
    models: int = 0
    seeds: int = 0
    targets: tuple[int, ...] = ()
    by_target: tuple[float, ...] = ()  # the effect at each of them
    estimate: Estimate | None = None
    verdict: Verdict = "not compared"
    p_holm: float | None = None
    reason: str | None = None


def findings(
    name: str, block: Block, tables: Mapping[str, pd.DataFrame], margins: Mapping[str, float]
) -> list[Finding]:
    """Those of the block called `name`, every outcome of every comparison, judged as one family."""
    found = [_finding(name, each, outcome, tables) for each in block.compared for outcome in each.outcomes]
    return _judged(found, margins)


def _finding(name: str, pair: Comparison, outcome: str, tables: Mapping[str, pd.DataFrame]) -> Finding:
    table, column = TRUTH if outcome.startswith("truth.") else TEXT, outcome.removeprefix("truth.")
    meaning = tables["columns"]
    meant = meaning[(meaning.table == table) & (meaning["name"] == column)]
    if meant.empty:
        return Finding(pair.row, pair.against, outcome, reason=f"no evaluation gives `{outcome}`")
    bare = Finding(
        pair.row, pair.against, outcome, str(meant["title"].iloc[0]), str(meant["better"].iloc[0]),
        int(meant["decimals"].iloc[0]),
    )  # fmt: skip
    rows = tables[table][tables[table].block == name]
    targets = _met(rows, pair, column)
    if not targets:
        return replace(bare, reason="no L0 target that every SAE of both rows met and was measured at")
    grids = _grids(rows[rows.target.isin(targets)], column)
    if not {pair.row, pair.against} <= grids.keys() or grids[pair.row][..., 0].size < 2:
        return replace(bare, reason="not the same models and seeds in both rows, or one SAE of each")
    both = grids[pair.row] - grids[pair.against]
    values = {label: _values(each.mean(-1)) for label, each in grids.items()}
    [(estimate, _)] = compared(values, [(pair.row, pair.against)], "higher")
    parts = tuple(float(each) for each in both.mean((0, 1)))
    return replace(
        bare, models=both.shape[0], seeds=both.shape[1], targets=tuple(targets), by_target=parts,
        estimate=estimate,
    )  # fmt: skip


def _met(rows: pd.DataFrame, pair: Comparison, column: str) -> list[int]:
    """The targets that every SAE of both rows met, with a number for each."""
    both = rows[rows.label.isin([pair.row, pair.against])]
    good = (both.status == "ok") & (both.on_target == "yes") & both[column].notna()
    each = good.groupby(both.target).all()
    complete = both.groupby("target").label.nunique() == len({pair.row, pair.against})
    return [int(target) for target in each.index[each & complete]]


def _grids(rows: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    """By label (models, seeds, targets): of rows that have every number of the largest such grid."""
    wanted = pd.MultiIndex.from_product(
        [sorted(rows.model.unique()), sorted(rows.seed.unique()), sorted(rows.target.unique())]
    )
    shape = tuple(len(level) for level in wanted.levels)
    found = {}
    for label, part in rows.groupby("label"):
        values = part.set_index(["model", "seed", "target"])[column].reindex(wanted)
        if not values.isna().any():
            found[str(label)] = values.to_numpy(float).reshape(shape)
    return found


def _values(by_seed: np.ndarray) -> Values:
    """(models, seeds) as what is compared: of one model its seeds."""
    return over_models(by_seed) if len(by_seed) > 1 else Values(by_seed[0])


def _judged(found: Sequence[Finding], margins: Mapping[str, float]) -> list[Finding]:
    """With verdicts: both questions, none and within the margin, by Holm over the whole family."""
    known = [(each, each.estimate) for each in found if each.estimate is not None]
    different = holm(np.array([estimate.p() for _, estimate in known])).tolist() if known else []
    bounded = [(each, estimate, margins.get(each.outcome.removeprefix("truth."))) for each, estimate in known]
    inside = [estimate.p_equal(margin) for _, estimate, margin in bounded if margin is not None]
    equal = iter(holm(np.array(inside)).tolist() if inside else [])
    verdicts: dict[int, dict[str, Any]] = {}
    for (each, estimate, margin), p in zip(bounded, different, strict=True):
        same = margin is not None and next(equal) < 1 - LEVEL
        verdict: Verdict = "equal within margin" if same else _verdict(each, estimate, p)
        verdicts[id(each)] = {"verdict": verdict, "p_holm": p}
    return [replace(each, **verdicts.get(id(each), {})) for each in found]


def _verdict(each: Finding, estimate: Estimate, p: float) -> Verdict:
    if p >= 1 - LEVEL or each.better == "neither":
        return "not distinguishable"
    return "better" if (estimate.value > 0) == (each.better == "higher") else "worse"
