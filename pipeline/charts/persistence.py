"""Energy persistence: how much steadier codes are in the text's order, with dense latents and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from pipeline.charts.panel import Panel, colour, sentence, shape, shown
from pipeline.charts.rows import across, by_row, named, panel, points
from pipeline.charts.runs import measured

ALL = {"stage": "reconstruction", "metric": "persistence_energy"}
SPARSE = {"stage": "reconstruction", "metric": "persistence_energy_without_dense"}


def persistence(summary: pd.DataFrame, methods: Sequence[str]) -> list[Panel]:
    """A panel per L0 target; filled over all latents, hollow without the dense ones."""
    sparse = measured(summary, SPARSE)[["label", "run", "y"]].rename(columns={"y": "sparse"})
    both = named(measured(summary, ALL).merge(sparse, on=["label", "run"], how="left"))
    both = both[both["target"].notna()]
    x = across(both, "energy persistence, 0 in random order", "sparse")
    layers = [*_without_dense(methods, x), *points(methods, x)]
    return [
        panel(rows, layers, f"Energy persistence, L0 target {target:g} (hollow: without dense)", "higher")
        for target, rows in both.groupby("target")
    ] or [sentence("No SAE with an L0 target.")]


def _without_dense(methods: Sequence[str], x: alt.X) -> list[Any]:
    both = by_row().transform_filter("isValid(datum.y) && isValid(datum.sparse)")
    hollow = alt.X("sparse:Q", title=x["title"], axis=x["axis"], scale=x["scale"])
    tooltip = [
        alt.Tooltip("label:N", title="SAE"),
        alt.Tooltip("sparse:Q", title="without dense latents", format=".4~g"),
    ]
    return [
        both.mark_rule(style="gap", strokeWidth=4).encode(x=x, x2="sparse:Q"),
        both.mark_point(style="hollow", size=58, strokeWidth=1.4).encode(
            x=hollow, color=colour(methods), shape=shape(methods), strokeOpacity=shown(0.1), tooltip=tooltip
        ),
    ]
