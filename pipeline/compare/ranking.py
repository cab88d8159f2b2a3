"""How well the first-letter proxy ranks SAEs whose absorption is known exactly (synthetic activations)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.compare.board import Board, Entry
from pipeline.compare.headline import TRUTH_STAGE
from pipeline.compare.summary import by_run

PROXIES = {
    "proxy_full_absorption": "full absorption",
    "proxy_absorption_fraction": "absorption fraction",
}
EXACT = ("exact_absorption", "exact_absorption_matched")
FEWEST = 5
"""Runs (a variant at one L0 target) below which ranks say nothing."""

RESAMPLES, SEED = 2000, 0

COLUMNS = ("proxy", "exact", "target", "rho", "low", "high", "saes", "runs", "reason")


@dataclass(frozen=True)
class Ranking:
    """Spearman's rho over S SAEs of R runs with its 95 % interval, or the reason why there is none."""

    rho: float | None
    low: float | None
    high: float | None
    saes: int
    runs: int
    reason: str | None = None


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of `x` and `y` (S,), ties sharing their mean rank; NaN where one is constant."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale else float("nan")


def ranking(runs: Sequence[Sequence[Entry]], proxy: str, exact: str) -> Ranking:
    """Spearman's rho of `proxy` and `exact` over the SAEs of `runs`; percentile bootstrap over runs.

    Runs are drawn with all their seeds, because the seeds of one run are not independent of each other.
    Draws in which a side is constant have no rho and are left out.
    """
    pairs = [np.array(found) for run in runs if (found := _pairs(run, proxy, exact))]
    count = sum(len(each) for each in pairs)
    if len(pairs) < FEWEST:
        reason = f"{len(pairs)} runs have both values, ranks need {FEWEST}"
        return Ranking(None, None, None, count, len(pairs), reason)
    rho = spearman(*np.concatenate(pairs).T)
    if np.isnan(rho):
        return Ranking(None, None, None, count, len(pairs), "all SAEs have the same value")
    rng = np.random.default_rng(SEED)
    drawn = [
        spearman(*np.concatenate([pairs[i] for i in rng.integers(len(pairs), size=len(pairs))]).T)
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Ranking(rho, float(low), float(high), count, len(pairs))


def rankings(board: Board) -> list[dict[str, Any]]:
    """Rows of `COLUMNS`: each proxy against each exact value, over all targets and at each of them."""
    runs = [run for run in by_run(board.truth) if run[0].label == run[0].variant]
    targets: list[float | None] = [None]
    targets += sorted({run[0].target for run in runs if run[0].target is not None})
    rows = []
    for proxy in PROXIES:
        for exact in EXACT:
            for target in targets:
                chosen = [run for run in runs if target is None or run[0].target == target]
                found = ranking(chosen, proxy, exact)
                which = {"proxy": proxy, "exact": exact, "target": "all" if target is None else target}
                rows.append({**which, **{name: _cell(value) for name, value in vars(found).items()}})
    return rows


def notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """One remark on how far the proxy can be trusted, from the rows over all targets."""
    said = []
    for row in rows:
        if row["target"] != "all" or row["exact"] != EXACT[0]:
            continue
        name = PROXIES[row["proxy"]]
        if row["rho"] == "":
            said.append(f"{name}: no rank correlation ({row['reason']})")
        else:
            said.append(
                f"{name}: Spearman's rho {row['rho']:.2f} [{row['low']:.2f}, {row['high']:.2f}] over "
                f"{row['saes']} SAEs"
            )
    asked = "Does the first-letter measurement rank SAEs as the truth does? Run on synthetic activations, "
    return [f"{asked}against exact absorption: {'; '.join(said)} (tables/ranking.tsv)."] if said else []


def _pairs(run: Sequence[Entry], proxy: str, exact: str) -> list[tuple[float, float]]:
    values = [(entry.get((TRUTH_STAGE, proxy)).value, entry.get((TRUTH_STAGE, exact)).value) for entry in run]
    return [(a, b) for a, b in values if a is not None and b is not None]


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, ties at their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[place]


def _cell(value: Any) -> Any:
    return "" if value is None else value
