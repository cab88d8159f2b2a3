"""Differences of rows with their intervals, a panel per score: a forest plot."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from pipeline.charts.figures import Arrangement, arranged, png
from pipeline.charts.look import methods
from pipeline.charts.panel import ROWS, Panel, colour, ends, layered, rows_of, shape
from pipeline.charts.rows import STEP

NAME_ROOM = 285
"""Pixels left of the axes for `row against row`."""
CAPTION = (
    "First row minus second, with its 95 % interval. Filled: told apart or shown equal; hollow: neither."
)
PLACE = Arrangement(2, 230, CAPTION)


def effects(frame: pd.DataFrame) -> bytes:
    """The picture of `frame`: columns label (of a row), name, title, better, y, low, high, resolved."""
    order = methods(frame["label"])
    drawn = [_panel(here, str(title), order) for title, here in frame.groupby("title", sort=False)]
    return png(arranged(drawn, PLACE))


def _panel(frame: pd.DataFrame, title: str, order: Sequence[str]) -> Panel:
    low, high = ends(min(frame["low"].min(), 0.0), max(frame["high"].max(), 0.0))
    scale = alt.Scale(domain=[low, high], nice=False)
    x = alt.X("y:Q", title=None, axis=alt.Axis(tickCount=5), scale=scale)
    y = alt.Y("name:N", title=None, sort=None, axis=alt.Axis(grid=True, labelLimit=NAME_ROOM - 10))
    base = alt.Chart(ROWS).encode(y=y, color=colour(order))
    none = alt.Chart(ROWS).mark_rule(strokeDash=[3, 3]).encode(x=alt.X("none:Q", title=None, scale=scale))
    span = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title=None, scale=scale, axis=x["axis"]), x2="high:Q"
    )
    point = base.encode(x=x, shape=shape(order))
    full = point.transform_filter("datum.resolved").mark_point(filled=True, size=58, fillOpacity=1)
    open_ = point.transform_filter("!datum.resolved").mark_point(style="hollow", size=58, strokeWidth=1.4)
    rows = frame.assign(none=0.0).drop(columns=["title"])
    height = STEP * frame["name"].nunique()
    better = str(frame["better"].iloc[0])
    return Panel(layered([none, span, full, open_], title, better, height), rows_of(rows), left=NAME_ROOM)
