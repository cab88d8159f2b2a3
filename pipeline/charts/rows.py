"""Rows of points: one row per SAE, the mean over seeds as a point, the range as a bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from pipeline.charts.panel import ROWS, Panel, colour, ends, layered, over_seeds, rows_of, shape, shown

STEP = 19
"""Height of a row in pixels."""
NAME_ROOM = 110
"""Pixels left of the axes for the rows' names."""


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with column `name` of its rows; a row off its L0 target carries the L0 it reached."""
    rows = zip(frame["label"], frame["x"], frame["missed"], strict=True)
    return frame.assign(name=[f"{label}, L0 {x:.3g}!" if missed else label for label, x, missed in rows])


def across(frame: pd.DataFrame, title: str | None, *more: str) -> alt.X:
    """The axis of column y: as long as the columns y, low, high and `more` of all panels of `frame`."""
    values = frame[["y", "low", "high", *more]]
    domain = ends(values.min().min(), values.max().max(), 0.04)
    scale = alt.Scale(domain=list(domain), nice=False)
    return alt.X("y:Q", title=title, axis=alt.Axis(tickCount=5), scale=scale)


def by_row() -> alt.Chart:
    """A chart with a row for each `name`, in the order of the data."""
    y = alt.Y("name:N", title=None, sort=None, axis=alt.Axis(grid=True, labelLimit=170))
    return alt.Chart(ROWS).encode(y=y)


def points(methods: Sequence[str], x: alt.X) -> list[Any]:
    """The layers over columns label, name, x, y, low, high, reason; a row without a value says so."""
    known = by_row().transform_filter("isValid(datum.y)").encode(color=colour(methods))
    absent = by_row().transform_filter("!isValid(datum.y)").mark_text(align="left", dx=4)
    low = alt.X("low:Q", title=x["title"], scale=x["scale"], axis=x["axis"])
    span = known.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=low, x2="high:Q")
    mean = known.mark_point(filled=True, size=58).encode(
        x=x, shape=shape(methods), tooltip=over_seeds("L0"), fillOpacity=shown(0.12)
    )
    missing = absent.encode(x=alt.value(0), text=alt.value("missing"), tooltip="reason:N")
    return [span.encode(strokeOpacity=shown(0.05, 0.5)), mean, missing]


def panel(frame: pd.DataFrame, layers: Sequence[Any], title: str, better: str) -> Panel:
    """The panel with a row for each of `frame`."""
    rows = rows_of(frame.drop(columns=["run", "target", "missed"]))
    return Panel(layered(layers, title, better, STEP * len(frame)), rows, left=NAME_ROOM)
