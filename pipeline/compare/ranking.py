"""How well the first-letter proxy ranks SAEs whose absorption is known exactly (synthetic activations)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compare.scores import Source

PROXIES = {
    "proxy_full_absorption": "full absorption",
    "proxy_absorption_fraction": "absorption fraction",
    "proxy_miss_rate": "miss rate",
    "proxy_carrier": "carrier",
    "proxy_excess_absorption": "absorption beyond chance",
}
EXACT = ("exact_absorption", "exact_absorption_matched")
FEWEST = 5
"""Runs (a variant at one L0 target) below which ranks say nothing."""

RESAMPLES, SEED = 2000, 0


def spearman(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rank correlation (R,) of `x` and `y` (S,), each SAE taken as often as `counts` (R, S) says.

    Ties share their mean rank; NaN where one side is constant. All resamples at once: 100 times faster
    than one call of scipy.stats.spearmanr for each.
    """
    a, b = (_centred(counts @ _below(values), counts) for values in (x, y))
    scale = np.sqrt((counts * a * a).sum(1) * (counts * b * b).sum(1))
    return np.divide((counts * a * b).sum(1), scale, out=np.full(len(scale), np.nan), where=scale > 0)


def _below(values: np.ndarray) -> np.ndarray:
    """(S, S): how much element i adds to the mean rank of element j."""
    return (values[:, None] < values) + 0.5 * (values[:, None] == values)


def _centred(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return ranks - (counts * ranks).sum(1, keepdims=True) / counts.sum(1, keepdims=True)


def ranking(saes: pd.DataFrame, proxy: str, exact: str) -> dict[str, Any]:
    """Spearman's rho of `proxy` and `exact` over `saes`; percentile bootstrap over runs.

    Runs are drawn with all their seeds, because the seeds of one run are not independent of each other.
    Draws in which a side is constant have no rho and are left out.
    """
    known = saes.reindex(columns=[proxy, exact]).dropna()
    run = known.groupby(["label", "run"], sort=False).ngroup().to_numpy() if len(known) else np.zeros(0)
    runs = len(set(run))
    found: dict[str, Any] = {"saes": len(known), "runs": runs, "rho": None, "low": None, "high": None}
    if runs < FEWEST:
        return found | {"reason": f"{runs} runs have both values, ranks need {FEWEST}"}
    x, y = known.to_numpy().T
    rho = float(spearman(x, y, np.ones((1, len(x))))[0])
    if np.isnan(rho):
        return found | {"reason": "all SAEs have the same value"}
    drawn = np.random.default_rng(SEED).integers(runs, size=(RESAMPLES, runs))
    counts = (drawn[:, :, None] == np.arange(runs)).sum(1)
    low, high = np.nanquantile(spearman(x, y, counts[:, run]), [0.025, 0.975])
    return found | {"rho": rho, "low": float(low), "high": float(high), "reason": None}


def rankings(source: Source) -> list[dict[str, Any]]:
    """Rows of ranking.tsv: each proxy against each exact value, over all targets and at each of them."""
    numbers = source.numbers[source.numbers.label == source.numbers.variant]
    saes = numbers.pivot_table(
        "value", ["label", "run", "target", "seed"], "metric", dropna=False, sort=False, observed=True
    )
    saes = saes.dropna(how="all")
    targets = [None, *sorted(saes.index.get_level_values("target").dropna().unique())]
    return [
        {"proxy": proxy, "exact": exact, "target": "all" if target is None else f"{target:g}",
         **ranking(saes if target is None else saes[saes.index.get_level_values("target") == target],
                   proxy, exact)}
        for proxy in PROXIES for exact in EXACT for target in targets
    ]  # fmt: skip


def notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """One remark on how far the proxy can be trusted, from the rows over all targets."""
    said = []
    for row in rows:
        if row["target"] != "all" or row["exact"] != EXACT[0]:
            continue
        name = PROXIES[row["proxy"]]
        if row["rho"] is None:
            said.append(f"{name}: no rank correlation ({row['reason']})")
        else:
            said.append(
                f"{name}: Spearman's rho {row['rho']:.2f} [{row['low']:.2f}, {row['high']:.2f}] over "
                f"{row['saes']} SAEs"
            )
    asked = "Does the first-letter measurement rank SAEs as the truth does? Run on synthetic activations, "
    return [f"{asked}against exact absorption: {'; '.join(said)} (tables/ranking.tsv)."] if said else []


def printed(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Each proxy's rank correlation with exact absorption as text, the one that leads over all SAEs first.

    `targets`: the L0 targets; `rows`: a title and a text for each of them.
    """
    mine = [row for row in rows if row["exact"] == EXACT[0]]
    targets = list(dict.fromkeys(row["target"] for row in mine))
    texts = {(row["proxy"], row["target"]): _text(row) for row in mine}
    whole = {row["proxy"]: row["rho"] for row in mine if row["target"] == "all"}
    order = sorted(whole, key=lambda proxy: -np.inf if whole[proxy] is None else whole[proxy], reverse=True)
    return {
        "targets": targets,
        "rows": [[PROXIES[proxy], *(texts[proxy, target] for target in targets)] for proxy in order],
    }


def _text(row: dict[str, Any]) -> str:
    if row["rho"] is None:
        return str(row["reason"])
    return f"{row['rho']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
