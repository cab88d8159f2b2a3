"""Heat maps: a row per SAE, a column per letter or task, grey where nothing was measured."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from pipeline.charts.panel import ROWS, Panel, layered, rows_of
from pipeline.charts.rows import NAME_ROOM, STEP

ABSENT = "#8080804d"
"""Half transparent, so that it stands off either ground."""
LEGEND_ROOM = 80


def heat(
    frame: pd.DataFrame, x: alt.X, value: alt.Color, title: str, better: str, extra: Sequence[str] = ()
) -> Panel:
    """Columns label, x, value of `frame`, and those of `extra` for the tooltip; rows in its order."""
    tooltip = [
        alt.Tooltip("label:N", title="row"),
        alt.Tooltip("x:N", title=x["title"]),
        alt.Tooltip("value:Q", title=value["title"], format=".3f"),
        *(alt.Tooltip(f"{name}:Q", title=name) for name in extra),
    ]
    y = alt.Y("label:N", title=None, sort=None, axis=alt.Axis(labelLimit=170))
    cells = alt.Chart(ROWS).encode(x=x, y=y, tooltip=tooltip)
    layers = [
        cells.transform_filter("!isValid(datum.value)").mark_rect(style="cell", color=ABSENT),
        cells.transform_filter("isValid(datum.value)").mark_rect(style="cell").encode(color=value),
    ]
    chart = layered(layers, title, better, STEP * max(frame["label"].nunique(), 1))
    return Panel(chart, rows_of(frame[["label", "x", "value", *extra]]), NAME_ROOM, LEGEND_ROOM)
