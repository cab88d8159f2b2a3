"""Every score against the L0 reached: what sparsity costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from pipeline.charts.lines import LABEL_ROOM, end_labels, lines, points, with_places
from pipeline.charts.panel import Panel, ends, layered, rows_of, sentence
from pipeline.charts.runs import measured
from pipeline.charts.ticks import log_ticks

Headlines = Sequence[Mapping[str, Any]]
"""One mapping per headline score: its title, better, stage and metric."""


def pareto(summary: pd.DataFrame, columns: Headlines, methods: Sequence[str]) -> list[Panel]:
    """A panel per score: mean over seeds, range as a band, hollow where the L0 target is missed."""
    frames = [(column, _comparable(measured(summary, column))) for column in columns]
    return [_panel(frame, column, methods) for column, frame in frames if len(frame)] or [
        sentence("No SAE with a measured L0: there is nothing to lay against it.")
    ]


def _comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with an L0 target, and SAEs from elsewhere; a method's row without target is a paper's preset."""
    ours = frame.groupby("label", sort=False)["target"].transform("count") > 0
    return frame[(frame["target"].notna() | ~ours) & (frame["x"] > 0) & frame["y"].notna()]


def _panel(frame: pd.DataFrame, column: Mapping[str, Any], methods: Sequence[str]) -> Panel:
    low, high = ends(frame["low"].min(), frame["high"].max())
    targets = sorted(frame["target"].dropna().unique().tolist())
    low_l0, high_l0 = float(frame["x"].min()), float(frame["x"].max())
    log = alt.Scale(type="log", domain=[low_l0, high_l0], nice=False, padding=14)
    ticks = alt.Axis(values=log_ticks(low_l0, high_l0, targets))
    x = alt.X("x:Q", title="L0, active latents per token (log)", axis=ticks, scale=log)
    linear = alt.Scale(domain=[low, high], nice=False)
    y = alt.Y("y:Q", title=None, axis=alt.Axis(tickCount=6), scale=linear)
    layers = [*lines(methods, x, y), *points(methods, x, y), *end_labels(methods, y)]
    rows = rows_of(with_places(frame, low, high).drop(columns=["run", "target", "reason"]))
    return Panel(layered(layers, column["title"], column["better"]), rows, right=LABEL_ROOM)
