"""The comparison as long tables: pairs.tsv and curves.tsv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.compare.board import Board, Entry
from pipeline.compare.headline import L0, TRUTH_L0, TRUTH_STAGE
from pipeline.compare.paired.comparison import Family, Pair, Standing
from pipeline.compare.paired.variance import Estimate
from pipeline.compare.summary import by_run, over_seeds

PAIR_COLUMNS = (
    "a", "b", "target", "stage", "metric", "better", "value_a", "value_b", "difference", "low", "high",
    "p", "p_holm", "verdict", "minimum_detectable", "seeds", "items", "error", "df", "l0_a", "l0_b", "how_a",
    "how_b", "l0_allowance", "reason",
)  # fmt: skip
CURVE_COLUMNS = (
    "label", "run", "target", "stage", "metric", "better", "l0", "value", "low", "high", "seeds", "of",
    "matched_l0", "matched", "matched_low", "matched_high", "interval_low", "interval_high", "items", "how",
    "reason",
)  # fmt: skip

Row = dict[str, Any]


def pairs(families: Sequence[Family]) -> list[Row]:
    """One row per score, L0 target and pair of rows."""
    return [_pair(family, pair) for family in families for pair in family.pairs]


def curves(board: Board, families: Sequence[Family]) -> list[Row]:
    """One row per score, row label and L0 target.

    `value` at the reached `l0` with its range over seeds, then `matched` at the common L0.
    """
    runs = {
        (run[0].label, run[0].target, source): run
        for source, entries in (("", board.entries), (TRUTH_STAGE, board.truth))
        for run in by_run(entries)
    }
    return [
        _curve(family, standing, runs[standing.label, family.target, _source(family)])
        for family in families
        for standing in family.rows
    ]


def _source(family: Family) -> str:
    return TRUTH_STAGE if family.column.stage == TRUTH_STAGE else ""


def _named(family: Family) -> Row:
    column = family.column
    return {"target": family.target, "stage": column.stage, "metric": column.metric, "better": column.better}


def _pair(family: Family, pair: Pair) -> Row:
    found = pair.difference
    return _named(family) | _estimate(found) | {
        "a": pair.a.label, "b": pair.b.label, "value_a": pair.a.value, "value_b": pair.b.value,
        "p": pair.p, "p_holm": pair.p_holm, "verdict": pair.verdict,
        "seeds": family.seeds, "items": min(pair.a.items, pair.b.items),
        "minimum_detectable": None if found is None else found.detectable,
        "l0_a": pair.a.l0, "l0_b": pair.b.l0, "how_a": pair.a.how, "how_b": pair.b.how,
        "l0_allowance": pair.allowance, "reason": pair.reason,
    }  # fmt: skip


def _estimate(found: Estimate | None) -> Row:
    if found is None:
        return dict.fromkeys(("difference", "low", "high", "error", "df"))
    return {
        "difference": found.value, "low": found.low, "high": found.high, "error": found.error, "df": found.df,
    }  # fmt: skip


def _curve(family: Family, standing: Standing, run: Sequence[Entry]) -> Row:
    l0 = TRUTH_L0 if _source(family) else L0
    reached = over_seeds(run, family.column.key)
    values = [each.value for each in standing.by_seed if each.value is not None]
    complete = standing.value is not None
    return _named(family) | {
        "label": standing.label, "run": run[0].run, "l0": over_seeds(run, l0.key).mean,
        "value": reached.mean, "low": reached.low, "high": reached.high,
        "seeds": reached.seeds, "of": reached.of, "matched_l0": standing.l0, "matched": standing.value,
        "matched_low": min(values) if complete else None, "matched_high": max(values) if complete else None,
        "interval_low": standing.mean.low if standing.mean else None,
        "interval_high": standing.mean.high if standing.mean else None,
        "items": standing.items, "how": standing.how, "reason": standing.reason,
    }  # fmt: skip
