"""What the blocks' questions are answered with: differences of rows, with language models as a random factor.

A comparison is of two rows of one block, on the language models on which both were measured and with the SAEs
that met their L0 targets (on_target.py); its effect is the mean over targets. All comparisons of one method
in a block are one family (Holm). Where there are several language models their spread is part of every
interval (pipeline/compare/paired/models.py); with one, its test items are (items.py). A difference must hold
by two analyses: with the noise of all rows of the block that met these targets, and by the paired t test of
its two rows alone (pipeline/compare/planned.py says why).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compare.paired.estimate import LEVEL, Estimate
from pipeline.compare.paired.variance import Table, Values, added
from pipeline.compare.paired.verdict import Verdict, holm
from pipeline.study.gather import TEXT, TRUTH, met
from pipeline.study.on_target import Kept, on_target
from pipeline.study.section import Asks, Block, Comparison

ON_EACH = "on each language model alone"
Grids = Mapping[str, np.ndarray]
"""By label (models, seeds, targets)."""
ItemVariances = Mapping[tuple[str, ...], tuple[float, int]]
"""By block, model, row, against, outcome and targets: what the items add, and how many (study/items.tsv)."""
NO_ITEMS: ItemVariances = {}


@dataclass(frozen=True)
class Finding:
    """One outcome of one comparison; without an estimate the reason why there is none."""

    block: str
    asks: Asks
    row: str
    against: str
    outcome: str  # `truth.` before those on known truth
    title: str = ""
    better: str = "neither"
    decimals: int = 3
    models: tuple[str, ...] = ()
    by_model: tuple[float, ...] = ()  # the effect on each of them
    seeds: int = 0  # of each model
    targets: tuple[int, ...] = ()
    by_target: tuple[float, ...] = ()  # the effect at each of them
    left_out: str = ""  # targets that do not count, and why
    estimate: Estimate | None = None
    with_items: bool = False  # whether the interval of one language model holds its test items
    verdict: Verdict = "not compared"
    p_holm: float | None = None
    reason: str | None = None
    alone: tuple[Finding, ...] = ()  # the same on each of several language models by itself

    @property
    def word(self) -> str:
        """The verdict; where only each language model by itself gives one, that one and so much said."""
        words = {each.verdict for each in self.alone}
        if self.verdict == "not distinguishable" and len(words) == 1 and words & {"better", "worse"}:
            return f"{words.pop()} {ON_EACH}"
        return self.verdict

    @property
    def method(self) -> str:
        """The method that it is about."""
        return self.row.split(" (")[0]

    @property
    def saes(self) -> int:
        """How many SAEs it rests on, of both rows."""
        return 2 * len(self.models) * self.seeds * len(self.targets)


def findings(
    name: str,
    block: Block,
    tables: Mapping[str, pd.DataFrame],
    margins: Mapping[str, float],
    items: ItemVariances = NO_ITEMS,
) -> list[Finding]:
    """Those of the block called `name`, every outcome of every comparison; a method's are judged together.

    Where a finding rests on several language models, so are those of each of them.
    """
    found = _findings(name, block, tables, margins, items)
    every = dict.fromkeys(model for each in found for model in each.models if len(each.models) > 1)
    single = {model: _findings(name, block, _of_model(tables, model), margins, items) for model in every}
    return [
        replace(each, alone=tuple(single[model][i] for model in each.models if len(each.models) > 1))
        for i, each in enumerate(found)
    ]


def _of_model(tables: Mapping[str, pd.DataFrame], model: str) -> dict[str, pd.DataFrame]:
    return {name: each[each.model == model] if "model" in each else each for name, each in tables.items()}


def _findings(
    name: str,
    block: Block,
    tables: Mapping[str, pd.DataFrame],
    margins: Mapping[str, float],
    items: ItemVariances,
) -> list[Finding]:
    found = [_finding(name, each, name_, tables, items) for each in block.compared for name_ in each.outcomes]
    judged = {method: iter(_judged(own, margins)) for method, own in _by_method(found).items()}
    return [next(judged[each.method]) for each in found]


def _by_method(found: Iterable[Finding]) -> dict[str, list[Finding]]:
    own: dict[str, list[Finding]] = {}
    for each in found:
        own.setdefault(each.method, []).append(each)
    return own


def _finding(
    name: str, pair: Comparison, outcome: str, tables: Mapping[str, pd.DataFrame], items: ItemVariances
) -> Finding:
    table, column = TRUTH if outcome.startswith("truth.") else TEXT, outcome.removeprefix("truth.")
    meaning = tables["columns"]
    meant = meaning[(meaning.table == table) & (meaning["name"] == column)]
    bare = Finding(name, pair.asks, pair.row, pair.against, outcome)
    if meant.empty:
        return replace(bare, reason="no SAE has it yet")
    bare = replace(
        bare, title=str(meant["title"].iloc[0]), better=str(meant["better"].iloc[0]),
        decimals=int(meant["decimals"].iloc[0]),
    )  # fmt: skip
    rows = tables[table][tables[table].block == name]
    both = rows[rows.label.isin([pair.row, pair.against]) & rows[column].notna()]
    models = _models(both, pair)
    if not models:
        return replace(bare, reason="no language model on which both rows were measured")
    kept = on_target(both[both.model.isin(models)])
    targets = kept.targets
    bare = replace(bare, left_out=kept.left_out)
    if not targets:
        return replace(bare, reason="no L0 target that enough SAEs of both rows met")
    grids = _grids(rows[met(rows) & rows.model.isin(models) & rows.target.isin(targets)], column, pair, kept)
    if np.isfinite(grids[pair.row][..., 0]).sum() < 2:
        return replace(bare, reason="one SAE of each row: no spread")
    which = (name, models[0], pair.row, pair.against, outcome, " ".join(map(str, targets)))
    return _estimated(bare, pair, grids, models, targets, items.get(which) if len(models) == 1 else None)


def _estimated(
    bare: Finding,
    pair: Comparison,
    grids: Grids,
    models: Sequence[str],
    targets: Sequence[int],
    items: tuple[float, int] | None,
) -> Finding:
    both = grids[pair.row] - grids[pair.against]
    values = {label: _values(each.mean(-1)) for label, each in grids.items()}
    place = {label: i for i, label in enumerate(values)}
    of_all = Table.of([*values.values()]).difference(place[pair.row], place[pair.against])
    alone = Table.of([values[pair.row], values[pair.against]]).difference(0, 1)
    return replace(
        bare, models=tuple(models), by_model=tuple(map(float, np.nanmean(both, (1, 2)))),
        seeds=int(np.isfinite(both[..., 0]).sum(1).min()),
        targets=tuple(targets), by_target=tuple(map(float, np.nanmean(both, (0, 1)))),
        estimate=_strictest([each for one in (of_all, alone) for each in (one, _with_items(one, items))]),
        with_items=items is not None,
    )  # fmt: skip


def _strictest(analyses: Sequence[Estimate]) -> Estimate:
    """The widest interval, and of each test the largest p.

    More items than seeds raise the degrees of freedom of the sum (Satterthwaite), which may narrow it: with
    few seeds the interval of seeds alone counts too.
    """
    narrow, *wider = sorted(analyses, key=lambda each: each.half)
    return reduce(lambda strict, each: replace(each, also=strict), wider, narrow)


def _with_items(found: Estimate, items: tuple[float, int] | None) -> Estimate:
    """The estimate with the variance that the common items add."""
    if items is None:
        return found
    variance, count = items
    total, df = added((found.error**2, found.df), (variance, max(count - 1, 1)))
    return replace(found, error=float(total) ** 0.5, df=float(df))


def _models(both: pd.DataFrame, pair: Comparison) -> list[str]:
    """The language models on which both rows have the same seeds and targets: those of the commonest grid."""
    cells: dict[frozenset[tuple[int, int]], list[str]] = {}
    for model, here in both.groupby("model", sort=False):
        grids = [frozenset(zip(part.seed, part.target, strict=True)) for _, part in here.groupby("label")]
        if len(grids) == len({pair.row, pair.against}) and len({*grids}) == 1 and _full(grids[0]):
            cells.setdefault(grids[0], []).append(str(model))
    return max(cells.values(), key=len, default=[])


def _full(cells: frozenset[tuple[int, int]]) -> bool:
    seeds, targets = ({*each} for each in zip(*cells, strict=True))
    return len(cells) == len(seeds) * len(targets)


def _grids(rows: pd.DataFrame, column: str, pair: Comparison, kept: Kept) -> Grids:
    """Both rows of `pair`, and the other rows of the block that have every number that these have.

    By model, seed and target; NaN at seeds that are left out of the comparison, in every row.
    """
    wanted = pd.MultiIndex.from_product(
        [rows[rows.label == pair.row][level].drop_duplicates() for level in ("model", "seed", "target")]
    ).sort_values()
    shape = tuple(len(level) for level in wanted.levels)
    counts = np.array([(model, seed) not in kept.dropped for model, seed, _ in wanted])
    found = {}
    for label, part in rows.groupby("label"):
        values = part.set_index(["model", "seed", "target"])[column].reindex(wanted).to_numpy(float)
        if np.isfinite(values[counts]).all():
            found[str(label)] = np.where(counts, values, np.nan).reshape(shape)
    return found


def _values(by_seed: np.ndarray) -> Values:
    """(models, seeds), NaN where left out, as what is compared: the models' means, or one model's seeds."""
    if len(by_seed) > 1:
        return Values(np.nanmean(by_seed, 1))
    return Values(by_seed[0][np.isfinite(by_seed[0])])


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
