"""How much steadier codes are in order than in random order: chance-corrected temporal metrics (ours).

What a latent does at the next token depends on how often it fires at all, so that `flicker` alone tells
sparsity (the two correlate at .95 over SAEs). The same codes in random order have the same firing rates; the
ratio of both orders is what order adds. Dense latents hold much of that, so each number stands beside the
same one without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.metrics.common.resampling import Resampling, estimate, statistic_of
from pipeline.metrics.reconstruction.switching import SWITCHING, WITHOUT_DENSE
from pipeline.metrics.reconstruction.training_window import DENSE
from pipeline.numbers.definition import Definition, Headline, Items
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns

TEMPORAL = "temporal.tsv"
"""The table of the sums in both orders, a row per context."""

SHUFFLED = "_shuffled"

ORDERED = ("pairs", "moving_pairs", "on", "on_following")
"""What else is summed per context. `moving_pairs` are those with x_t != x_(t-1)."""

COLUMNS = (*ORDERED, *SWITCHING, *(f"{name}{WITHOUT_DENSE}" for name in SWITCHING))
"""What is summed per context in each order."""

TABLE: Columns = {name: float for each in COLUMNS for name in (each, each + SHUFFLED)}


def values(ordered: Sums, shuffled: Sums, plan: Resampling) -> dict[str, Number]:
    """Every metric of `METRICS`, from the sums per context of both orders, the same contexts in each."""
    sums = joined(ordered, shuffled)
    return {
        name: estimate(sums, statistic_of(items), int(sums[counted].sum()), plan, UNDEFINED)
        for name, (items, counted) in _ITEMS.items()
    }


Sums = Mapping[str, np.ndarray]
"""By column of `COLUMNS`, one entry per context."""

UNDEFINED = "no latent switches in random order, or none is on at two neighbouring tokens"


def joined(ordered: Sums, shuffled: Sums) -> dict[str, np.ndarray]:
    """The columns of `TABLE`."""
    return {**ordered, **{f"{name}{SHUFFLED}": column for name, column in shuffled.items()}}


def _against_chance(numerator: dict[str, float], denominator: str, complement: bool = True) -> Items:
    """The ratio of both columns in order, divided by the same in random order."""
    return Items(
        TEMPORAL, "context", "contexts", numerator, {denominator: 1},
        over_numerator={f"{name}{SHUFFLED}": factor for name, factor in numerator.items()},
        over_denominator={f"{denominator}{SHUFFLED}": 1}, complement=complement,
    )  # fmt: skip


def _items(suffix: str) -> dict[str, tuple[Items, str]]:
    """By metric: how it comes from the sums, and the column that counts its items."""
    ratio = _against_chance({f"smoothness{suffix}": 1}, "moving_pairs", complement=False)
    inverted = replace(
        ratio, numerator=ratio.over_numerator, denominator=ratio.over_denominator,
        over_numerator=ratio.numerator, over_denominator=ratio.denominator,
    )  # fmt: skip
    on, stays, sides = f"on_followed{suffix}", f"stays_on{suffix}", f"sides{suffix}"
    return {
        f"persistence{suffix}": (_against_chance({on: 1, stays: -1}, on), on),
        f"persistence_energy{suffix}": (_against_chance({f"switched{suffix}": 1}, sides), sides),
        f"smoothness_ratio{suffix}": (inverted, "moving_pairs"),
    }


_ITEMS = _items("") | _items(WITHOUT_DENSE)

_MAIN = [
    Definition(
        "persistence", "higher", "share", 1,
        "1 - flicker / flicker_shuffled: 0 where the order of tokens makes no difference, 1 where no latent "
        "switches off (ours)",
        headline=Headline("persistence", "persistence", 80, narrow=False, items=_ITEMS["persistence"][0]),
    ),
    Definition(
        "persistence_energy", "higher", "share", 1,
        "1 - switched / switched_shuffled, switched being the share of |f|^2 of a token that lies in latents "
        "silent at the token before it or after it, mean over pairs and both directions (ours)",
        headline=Headline(
            "persistence_energy", "energy persistence", 85, items=_ITEMS["persistence_energy"][0]
        ),
    ),
    Definition(
        "smoothness_ratio", "higher", "ratio", 1,
        "smoothness_shuffled / smoothness: 1 where the order of tokens makes no difference (ours)",
        headline=Headline("smoothness", "smoothness", 88, narrow=False, items=_ITEMS["smoothness_ratio"][0]),
    ),
]  # fmt: skip

METRICS = [
    *_MAIN,
    *(
        replace(
            metric, name=f"{metric.name}{WITHOUT_DENSE}", headline=None,
            definition=f"{metric.name} without the latents that are on for more than {DENSE:.0%} of the "
            "training window's tokens",
        )
        for metric in _MAIN
    ),
]  # fmt: skip
