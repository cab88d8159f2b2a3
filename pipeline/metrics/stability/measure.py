"""How much of an SAE another seed finds again: numbers and the table of its latents.

What is random in the intervals: the latents of the SAE, drawn with all their pairs; the SAEs and the
matching stay as they are. Another seed is another matter: only more seeds show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from pipeline.metrics.common.resampling import Resampling, estimate, ratio, share
from pipeline.metrics.stability.activity import Activity
from pipeline.metrics.stability.pair import Side, pair
from pipeline.metrics.stability.section import StabilitySection
from pipeline.numbers.definition import Definition, Headline, Items, Reference
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns
from pipeline.sae.core.inference import SAE

SHARED, EXACT = 0.7, 0.9
"""Cosine, or correlation, from which two latents count as one."""
LATENTS = "latents.tsv"
TABLES: dict[str, Columns] = {
    LATENTS: {
        "other": int, "item": int, "latent": int, "alive": int, "firing_rate": float, "best_cosine": float,
        "partner": int, "matched_cosine": float, "functional": float, "agreement": float, "stable": int,
    },
}  # fmt: skip
"""One row per latent and other seed. Cells of a latent that never fires, or is left over, are empty.

`item`: the latent's partner where the other has the lower seed, so that both rows of a pair draw the same.
"""

_ALIVE = "latents that fire on the measured test tokens"
_MATCHED = (
    "under the one-to-one matching with the largest sum of the mean of encoder and decoder cosine "
    "(Hungarian, 2501.16615), mean over pairs with the run's other seeds"
)
METRICS = [
    Definition(
        "stability", "higher", "share of latents", 1,
        f"share of {_ALIVE} whose partner in another seed's SAE has a cosine of at least 0.7, {_MATCHED}",
        headline=Headline(
            "stability", "stability over seeds", 100, narrow=False,
            items=Items(LATENTS, "item", "latents", {"stable": 1}, where="alive"), pairs_of_seeds=True,
        ),
    ),
    Definition(
        "stability_rotated", "neither", "share of latents", 2,
        "chance: stability with the other SAE's latents turned at random, as anisotropic as before (ours)",
        reference=Reference("rotated copy", "stability", 6, spread=True),
    ),
    Definition(
        "stability_90", "higher", "share of latents", 1,
        f"share of {_ALIVE} whose partner in another seed's SAE has a cosine of at least 0.9, {_MATCHED}",
    ),
    Definition(
        "stability_by_firing", "higher", "share of activity", 1,
        "stability with every latent weighted by the tokens on which it fires (ours)",
    ),
    Definition("matched_cosine", "higher", "cosine", 1, f"mean cosine of partners, {_MATCHED}"),
    Definition(
        "matched_cosine_rotated", "neither", "cosine", 2,
        "chance: matched_cosine with the other SAE's latents turned at random, as anisotropic as before "
        "(ours)",
    ),
    Definition(
        "mmcs", "higher", "cosine", 1,
        f"mean over {_ALIVE} of the largest cosine with such a latent of another seed's SAE (mean maximum "
        "cosine similarity, Sharkey et al. 2022; here of encoder and decoder)",
    ),
    Definition("mmcs_back", "higher", "cosine", 1, "mmcs of the other seeds' SAEs with this one"),
    Definition(
        "functional_stability", "higher", "share of latents", 1,
        f"share of {_ALIVE} whose partner's codes correlate with its own by at least 0.7, under the "
        "one-to-one matching with the largest sum of correlations over test tokens (ours)",
    ),
    Definition(
        "functional_stability_shuffled", "neither", "share of latents", 1,
        "chance: functional_stability with the other SAE's codes on permuted tokens (ours)",
    ),
    Definition(
        "agreement", "higher", "correlation", 1,
        "mean correlation over test tokens of the codes of partners by cosine (ours)",
    ),
    Definition("alive", "higher", "share of latents", 1, f"{_ALIVE}: those that are compared", False),
]  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """One seed's SAE and what it does on the test tokens."""

    sae: SAE
    activity: Activity


def measure(saes: Mapping[int, Trained], section: StabilitySection) -> dict[int, Measured]:
    """What each of `saes`, the SAEs of one run by seed (at least two), shares with the others."""
    sides: dict[int, dict[int, Side]] = {seed: {} for seed in saes}
    for a, b in combinations(sorted(saes), 2):
        first, second = saes[a], saes[b]
        sides[a][b], sides[b][a] = pair(first.sae, second.sae, first.activity, second.activity, section.seed)
    plan = Resampling(section.resamples, section.seed)
    found = {}
    for seed, own in sides.items():
        back = [sides[other][seed] for other in own]
        numbers = _numbers(saes[seed].activity, [*own.values()], back, plan)
        found[seed] = Measured(numbers, {LATENTS: [*_rows(seed, saes, own)]})
    return found


def _numbers(own: Activity, sides: list[Side], back: list[Side], plan: Resampling) -> dict[str, Number]:
    """The numbers of an SAE; `back`: the other side of each of its pairs."""
    fired = own.fired[own.alive]
    known: dict[str, Callable[[Side], np.ndarray]] = {
        "stability": lambda side: side.matched.share(SHARED),
        "stability_90": lambda side: side.matched.share(EXACT),
        "stability_rotated": lambda side: side.chance.share(SHARED),
        "matched_cosine": lambda side: side.matched.value,
        "matched_cosine_rotated": lambda side: side.chance.value,
        "mmcs": lambda side: side.best,
        "functional_stability": lambda side: side.functional.share(SHARED),
        "functional_stability_shuffled": lambda side: side.chance_functional.share(SHARED),
        "agreement": lambda side: side.agreement,
    }
    found = {name: _mean([of(side) for side in sides], plan) for name, of in known.items()}
    found["stability_by_firing"] = _mean([side.matched.share(SHARED) for side in sides], plan, fired)
    others = [float(np.mean(side.best)) for side in back if len(side.best)]
    alive = share(len(own.alive), own.n)
    back_value = Number(float(np.mean(others)), len(others)) if len(own.alive) and others else None
    missing = Number(None, reason="no latent fires on the measured tokens")
    return {**found, "mmcs_back": back_value or missing, "alive": alive}


def _mean(values: list[np.ndarray], plan: Resampling, weight: np.ndarray | None = None) -> Number:
    """The mean over pairs and latents of `values`, (A,) per pair, NaN left out; latents are drawn again."""
    table = np.stack(values, axis=1).astype(np.float64)
    factor = np.ones(len(table)) if weight is None else weight.astype(np.float64)
    known = ~np.isnan(table)
    sums = {
        "part": np.where(known, table, 0).sum(1) * factor,
        "whole": known.sum(1) * factor,
    }
    return estimate(sums, ratio("part", "whole"), len(table), plan, "no latent fires on the measured tokens")


def _rows(seed: int, saes: Mapping[int, Trained], sides: Mapping[int, Side]) -> Iterator[dict[str, Any]]:
    own = saes[seed].activity
    for other, side in sides.items():
        theirs = saes[other].activity
        partner = _of_all(_named(side.matched.partner, theirs.alive), own)
        columns = {
            "item": _items(partner, theirs.n) if other < seed else np.arange(own.n),
            "latent": np.arange(own.n),
            "alive": (own.fired > 0).astype(int),
            "firing_rate": own.fired / max(own.tokens, 1),
            "best_cosine": _of_all(side.best, own),
            "partner": partner,
            "matched_cosine": _of_all(side.matched.value, own),
            "functional": _of_all(side.functional.value, own),
            "agreement": _of_all(side.agreement, own),
            "stable": np.nan_to_num(_of_all(side.matched.share(SHARED), own)).astype(int),
        }
        for row in zip(*(column.tolist() for column in columns.values()), strict=True):
            yield {"other": other, **dict(zip(columns, row, strict=True))}


def _named(partner: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """(A,): partners by their own numbers, NaN for none."""
    if not len(alive):
        return np.full(len(partner), np.nan)
    return np.where(partner >= 0, alive[partner], np.nan)


def _of_all(values: np.ndarray, own: Activity) -> np.ndarray:
    """(n,): `values` of the alive latents, NaN for the others."""
    every = np.full(own.n, np.nan)
    every[own.alive] = values
    return every


def _items(partner: np.ndarray, n: int) -> np.ndarray:
    """(n,): each latent's partner; the numbers that are left over for those without one, in order."""
    free = np.setdiff1d(np.arange(n), partner[~np.isnan(partner)].astype(int))
    items = partner.copy()
    items[np.isnan(partner)] = free[: int(np.isnan(partner).sum())]
    return items.astype(int)
