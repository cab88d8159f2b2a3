"""Explained variance against the length of training: who still rises at the end."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from pipeline.charts.figures import Arrangement, arranged, png
from pipeline.charts.lines import LABEL_ROOM, end_labels, lines, points, with_places
from pipeline.charts.look import methods
from pipeline.charts.panel import Panel, ends, layered, rows_of

CAPTION = "Each method at its best rate of each length, one seed, validation tokens. Hollow: L0 missed."


def length_figure(table: pd.DataFrame) -> bytes:
    """A panel per L0 target as PNG, of columns label, target, x (tokens), y and missed."""
    order = methods(table["label"])
    targets = sorted(table["target"].unique().tolist())
    drawn = [_panel(table[table["target"] == target], target, order) for target in targets]
    return png(arranged(drawn, Arrangement(2, 330, CAPTION)))


def _panel(table: pd.DataFrame, target: float, order: Sequence[str]) -> Panel:
    frame = table.assign(low=table["y"], high=table["y"]).drop(columns="target")
    low, high = ends(frame["y"].min(), frame["y"].max())
    lengths = sorted(frame["x"].unique().tolist())
    axis = alt.Axis(values=lengths, labelExpr="format(datum.value, '~s')")
    scale = alt.Scale(type="log", domain=[lengths[0], lengths[-1]], nice=False, padding=14)
    x = alt.X("x:Q", title="training tokens (log)", axis=axis, scale=scale)
    y = alt.Y("y:Q", title=None, axis=alt.Axis(tickCount=6), scale=alt.Scale(domain=[low, high], nice=False))
    layers = [*lines(order, x, y), *points(order, x, y), *end_labels(order, y)]
    title = f"Explained variance, L0 target {target:g}"
    return Panel(layered(layers, title, "higher"), rows_of(with_places(frame, low, high)), right=LABEL_ROOM)
