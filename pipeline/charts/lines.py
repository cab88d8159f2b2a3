"""Lines of one number over another: a line per row of the table, a band from lowest to highest seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from pipeline.charts.panel import HEIGHT, ROWS, colour, over_seeds, shape, shown

LABEL_ROOM, LABEL_GAP = 118, 12.5
"""Pixels: right of the axes for labels, and from one label to the next."""
DASHED = alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]])


def lines(methods: Sequence[str], x: alt.X, y: alt.Y) -> list[Any]:
    """The layers band and line over columns label, x, y, low, high; controls are dashed."""
    base = alt.Chart(ROWS).encode(x=x, color=colour(methods), detail="label:N")
    low = alt.Y("low:Q", title=None, scale=y["scale"], axis=y["axis"])
    dash = alt.StrokeDash("control:N", legend=None, scale=DASHED)
    return [
        base.mark_area().encode(y=low, y2="high:Q", fillOpacity=shown(0.02, 0.13)),
        base.mark_line(strokeWidth=1.6).encode(y=y, strokeDash=dash, strokeOpacity=shown(0.1)),
    ]


def points(methods: Sequence[str], x: alt.X, y: alt.Y) -> list[Any]:
    """The layers of points over columns label, x, y, low, high; hollow where `missed`."""
    base = alt.Chart(ROWS).encode(
        x=x, y=y, color=colour(methods), shape=shape(methods), tooltip=over_seeds("L0")
    )
    full = base.transform_filter("!datum.missed").mark_point(filled=True, size=48)
    hollow = base.transform_filter("datum.missed").mark_point(style="hollow", size=48, strokeWidth=1.4)
    return [full.encode(fillOpacity=shown(0.1)), hollow.encode(strokeOpacity=shown(0.1))]


def unseen_points(x: alt.X, y: alt.Y) -> list[Any]:
    """The layer whose points only answer to the reader's pointer."""
    unseen = alt.Chart(ROWS).mark_point(filled=True, fillOpacity=0, size=60)
    return [unseen.encode(x=x, y=y, tooltip=over_seeds(x["title"]))]


def end_labels(methods: Sequence[str], y: alt.Y) -> list[Any]:
    """The layers with the label at the end of each line, at the heights in column `place`."""
    base = alt.Chart(ROWS).transform_filter("isValid(datum.place)").encode(color=colour(methods))
    place = alt.Y("place:Q", scale=y["scale"], title=None, axis=y["axis"])
    edge = "width"
    leader = base.mark_rule(strokeWidth=0.7).encode(
        x="x:Q", y=y, x2=alt.X2Value(edge), y2="place:Q", strokeOpacity=shown(0.05, 0.6)
    )
    text = base.mark_text(align="left", dx=5).encode(x=alt.XValue(edge), y=place, text="label:N")
    return [leader, text.encode(fillOpacity=shown(0.2))]


def with_places(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """`frame` with column `place` in the last row of each label: the height of its label."""
    last = frame.sort_values("x", kind="stable").groupby("label", sort=False).tail(1)
    gap = LABEL_GAP * (high - low) / HEIGHT
    places = apart(last["y"].clip(low, high).to_numpy(), gap, low + gap / 2, high - gap / 2)
    return frame.assign(place=pd.Series(places, index=last.index))


def apart(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Places nearest to `wanted` (least squares), at least `gap` apart and, with room, in [low, high].

    Isotonic regression of the places less their slots; returns them in the order of `wanted`.
    """
    order = np.argsort(wanted, kind="stable")
    slots = gap * np.arange(len(wanted))
    levels = isotonic_regression(wanted[order] - slots).x
    places = np.empty(len(wanted))
    places[order] = np.clip(levels, None, high - slots[-1]).clip(low) + slots
    return places
