"""The long tables under reports/tables: for spreadsheets, for `dvc plots`, for the charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any

import pandas as pd

from pipeline.compare.paired.comparison import Family, Member, Pair
from pipeline.compare.paired.reached import Place, Reached
from pipeline.compare.planned import Plan
from pipeline.compare.schemas import LETTERS, PROBING, SCORES, SUMMARY, TRAINING
from pipeline.compare.scores import Run, Scores, Source
from pipeline.numbers.table import Columns

POINTS = 120
"""Points kept of each training curve in training.tsv: as many as a plot can show."""


def scores(found: Scores) -> pd.DataFrame:
    """One row per SAE and metric that is meant for tables."""
    numbers = pd.concat([source.numbers for source in found], ignore_index=True)
    return _columns(numbers[numbers["aggregate"].astype(bool)], SCORES)


def summary(found: Scores, intervals: Mapping[Place, Reached]) -> pd.DataFrame:
    """One row per run and metric: mean, range (low, high) and standard deviation over seeds.

    `on_target`: 0 where a seed of the run missed its L0 target, nothing without a target. `interval_low`,
    `interval_high`: the 95 % interval of the mean, of headlines only.
    """
    parts = [_with_interval(source, _with_on_target(source), intervals) for source in found]
    runs = pd.concat(parts, ignore_index=True)
    runs = runs[runs["aggregate"].astype(bool)]
    return _columns(runs.assign(reason=runs.reasons.map("; ".join)), SUMMARY)


def _with_on_target(source: Source) -> pd.DataFrame:
    known = {
        (run.label, run.name): None if run.target is None else int(not run.missed) for run in source.runs
    }
    places = source.over_seeds[["label", "run"]].itertuples(index=False, name=None)
    return source.over_seeds.assign(on_target=pd.array([known[place] for place in places], dtype="Int64"))


def _with_interval(source: Source, rows: pd.DataFrame, found: Mapping[Place, Reached]) -> pd.DataFrame:
    places = rows[["label", "run", "evaluation", "metric"]].itertuples(index=False, name=None)
    here = [found.get((source.name, label, run, (stage, metric))) for label, run, stage, metric in places]
    estimates = [None if each is None else each.estimate for each in here]
    return rows.assign(
        interval_low=pd.Series([nan if each is None else each.low for each in estimates], rows.index),
        interval_high=pd.Series([nan if each is None else each.high for each in estimates], rows.index),
    )


def _columns(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    return table.rename(columns={"evaluation": "stage"})[list(columns)].reset_index(drop=True)


def pareto(found: Scores) -> tuple[Columns, list[dict[str, Any]]]:
    """Columns and rows: one per run that reached an L0, with the means of the headline columns."""
    source = found.text
    rows = [
        {"label": run.label, "run": run.name, "target": run.target}
        | {column.name: source.summary(run, column.key).mean for column in source.columns}
        for run in source.runs
        if source.summary(run, source.l0.key).mean is not None
    ]
    return {"label": str, "run": str, "target": float} | {each.name: float for each in source.columns}, rows


def training(curves: Iterable[tuple[Any, pd.DataFrame]]) -> pd.DataFrame:
    """Training curves of SAEs thinned to `POINTS` points, the last one kept; absent columns stay empty."""
    tables = [
        thin(points).reindex(columns=list(TRAINING)).assign(
            curve=f"{sae.label} {sae.run} {sae.seed}", label=sae.label, run=sae.run, target=sae.target,
            seed=sae.seed,
        )
        for sae, points in curves if len(points)
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(TRAINING))


def thin(points: pd.DataFrame) -> pd.DataFrame:
    """Every k-th of `points`, counted from the last, so that at most `POINTS` are left."""
    every = max(1, -(-len(points) // POINTS))
    return points[::-1][::every][::-1]


def probing(found: pd.DataFrame | None, source: Source) -> pd.DataFrame:
    """The accuracy of each probe of each SAE beside the raw residual's; `found` is all problems.tsv."""
    if found is None:
        return pd.DataFrame(columns=list(PROBING))
    targets = {(run.label, run.name): run.target for run in source.runs}
    places = pd.Series(list(zip(found.label, found.run, strict=True)), index=found.index)
    return found.assign(target=places.map(targets).astype("float64"))[list(PROBING)]


def letters(found: pd.DataFrame | None, source: Source) -> pd.DataFrame:
    """Per run and letter, the means over seeds of absorption `fraction` and `full`, and the scored words.

    `found` is the letters.tsv of all SAEs, None where there is none. A letter that the absorption stage
    dropped (its linear probe is too weak) has no numbers.
    """
    if found is None:
        return pd.DataFrame(columns=list(LETTERS))
    places = {(run.label, run.name): place for place, run in enumerate(source.runs)}
    targets = {(run.label, run.name): run.target for run in source.runs}
    kept = found.kept != 0
    numbers = found[["true_positives", "absorption_fraction", "full_absorption"]].where(kept)
    rows = found[["label", "run", "letter"]].join(numbers).assign(kept=kept)
    table = rows.groupby(["label", "run", "letter"]).agg(
        seeds=("kept", "sum"), words=("true_positives", lambda words: words.sum(min_count=1)),
        fraction=("absorption_fraction", "mean"), full=("full_absorption", "mean"),
    ).reset_index()  # fmt: skip
    runs = pd.Series(list(zip(table.label, table.run, strict=True)))
    table = table.assign(place=runs.map(places), target=runs.map(targets))
    table = table.dropna(subset="place").sort_values(["place", "letter"], ignore_index=True)
    return table[list(LETTERS)].astype({"target": "float64"})


def pairs(families: Sequence[Family]) -> list[dict[str, Any]]:
    """One row per score, L0 target and pair of rows."""
    return [_pair(family, pair) for family in families for pair in family.pairs]


def planned(plan: Plan, families: Sequence[Family]) -> list[dict[str, Any]]:
    """One row per comparison named in advance, outcome and L0 target."""
    by_place = {(family.source, family.column, family.target): family for family in families}
    return [
        {"source": test.source, "tests": test.tests}
        | _pair(by_place[test.source, test.column, test.target], test.pair)
        for test in plan.tests
    ]


def curves(found: Scores, families: Sequence[Family]) -> list[dict[str, Any]]:
    """One row per score, row label and L0 target.

    `value` at the reached `l0` with its range over seeds, then `matched` at the common L0.
    """
    sources = {source.name: source for source in found}
    runs = {(source.name, run.label, run.target): run for source in found for run in source.runs}
    return [
        _curve(family, each, sources[family.source], runs[family.source, each.label, family.target])
        for family in families
        for each in family.members
    ]


def _score(family: Family) -> dict[str, Any]:
    column = family.column
    return {"target": family.target, "stage": column.stage, "metric": column.metric, "better": column.better}


def _pair(family: Family, pair: Pair) -> dict[str, Any]:
    found = pair.difference
    estimate = {"difference": "value", "low": "low", "high": "high", "error": "error", "df": "df",
                "minimum_detectable": "detectable"}  # fmt: skip
    return _score(family) | {
        "a": pair.a.label, "b": pair.b.label, "value_a": pair.a.value, "value_b": pair.b.value,
        **{name: None if found is None else getattr(found, each) for name, each in estimate.items()},
        "p": pair.p, "p_holm": pair.p_holm, "margin": family.margin, "p_equal": pair.p_equal,
        "p_equal_holm": pair.p_equal_holm, "verdict": pair.verdict,
        "seeds": family.seeds, "items": min(pair.a.items, pair.b.items),
        "l0_a": pair.a.l0, "l0_b": pair.b.l0, "how_a": pair.a.how, "how_b": pair.b.how,
        "l0_allowance": pair.allowance, "reason": pair.reason,
    }  # fmt: skip


def _curve(family: Family, member: Member, source: Source, run: Run) -> dict[str, Any]:
    reached = source.summary(run, family.column.key)
    values = [each.value for each in member.by_seed if each.value is not None and member.value is not None]
    return _score(family) | {
        "label": member.label, "run": run.name, "l0": source.summary(run, source.l0.key).mean,
        "value": reached.mean, "low": reached.low, "high": reached.high,
        "seeds": reached.seeds, "of": reached.of, "matched_l0": member.l0, "matched": member.value,
        "matched_low": min(values, default=None), "matched_high": max(values, default=None),
        "interval_low": member.mean.low if member.mean else None,
        "interval_high": member.mean.high if member.mean else None,
        "items": member.items, "how": member.how, "reason": member.reason,
    }  # fmt: skip
