"""How alike partners of two seeds are, against how often a latent fires."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from pipeline.charts.lines import LABEL_ROOM, end_labels, lines, unseen_points, with_places
from pipeline.charts.panel import Panel, layered, rows_of, sentence

LATENTS = 10
"""A bin with fewer latents in every seed is not drawn: its mean is noise."""


def stability(table: pd.DataFrame, methods: Sequence[str]) -> list[Panel]:
    """A panel per L0 target: mean over seeds, range as a band."""
    drawn = curves(table)
    return [
        _panel(frame, f"Cosine of partners of two seeds, L0 target {target:g}", methods)
        for target, frame in drawn.groupby("target")
    ] or [sentence("Stability needs two seeds of a run.")]


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Columns target, label, x (firing rate), y, low, high of the cosine over seeds."""
    known = table[table["target"].notna() & (table["latents"] >= LATENTS)]
    groups = known.groupby(["target", "label", "rate"], sort=False)["cosine"]
    return groups.agg(y="mean", low="min", high="max").reset_index().rename(columns={"rate": "x"})


def _panel(frame: pd.DataFrame, title: str, methods: Sequence[str]) -> Panel:
    axis = alt.Axis(labelExpr="format(datum.value, '.1~%')", tickCount=4)
    scale = alt.Scale(type="log", nice=False, domain=[frame["x"].min() * 0.8, frame["x"].max() * 1.25])
    x = alt.X("x:Q", title="share of test tokens on which a latent fires (log)", axis=axis, scale=scale)
    y = alt.Y("y:Q", title=None, axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=[0, 1], nice=False))
    layers = [*lines(methods, x, y), *unseen_points(x, y), *end_labels(methods, y)]
    return Panel(layered(layers, title, "higher"), rows_of(with_places(frame, 0, 1)), right=LABEL_ROOM)
