"""Flicker: how often a latent that is on is off at the next token, against shuffled tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from pipeline.charts.panel import Panel, colour, sentence, shape, shown
from pipeline.charts.rows import across, by_row, named, panel, points
from pipeline.charts.runs import measured

FLICKER = {"stage": "reconstruction", "metric": "flicker"}
SHUFFLED = {"stage": "reconstruction", "metric": "flicker_shuffled"}


def temporal(summary: pd.DataFrame, methods: Sequence[str]) -> list[Panel]:
    """A panel per L0 target; filled in the order of the text, hollow over shuffled tokens."""
    shuffled = measured(summary, SHUFFLED)[["label", "run", "y"]].rename(columns={"y": "shuffled"})
    both = named(measured(summary, FLICKER).merge(shuffled, on=["label", "run"], how="left"))
    both = both[both["target"].notna()]
    x = across(both, "share of active latents off at the next token", "shuffled")
    layers = [*_shuffled(methods, x), *points(methods, x)]
    return [
        panel(rows, layers, f"Flicker, L0 target {target:g} (hollow: shuffled tokens)", "lower")
        for target, rows in both.groupby("target")
    ] or [sentence("No SAE with an L0 target.")]


def _shuffled(methods: Sequence[str], x: alt.X) -> list[Any]:
    both = by_row().transform_filter("isValid(datum.y) && isValid(datum.shuffled)")
    hollow = alt.X("shuffled:Q", title=x["title"], axis=x["axis"], scale=x["scale"])
    tooltip = [
        alt.Tooltip("label:N", title="SAE"),
        alt.Tooltip("shuffled:Q", title="flicker over shuffled tokens", format=".4~g"),
    ]
    return [
        both.mark_rule(style="gap", strokeWidth=4).encode(x=x, x2="shuffled:Q"),
        both.mark_point(style="hollow", size=58, strokeWidth=1.4).encode(
            x=hollow, color=colour(methods), shape=shape(methods), strokeOpacity=shown(0.1), tooltip=tooltip
        ),
    ]
