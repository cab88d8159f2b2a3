"""How training went: explained variance and L0 of the batch against tokens."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from pipeline.charts.lines import LABEL_ROOM, end_labels, lines, unseen_points, with_places
from pipeline.charts.panel import ROWS, Panel, layered, rows_of, sentence
from pipeline.charts.ticks import log_ticks

POINTS = 40
"""Points drawn of a curve."""


def training(table: pd.DataFrame, methods: Sequence[str]) -> list[Panel]:
    """A row of panels per score, a panel per L0 target: mean over seeds, range as a band."""
    targets = sorted(table["target"].dropna().unique().tolist())
    rows = [(target, table[table["target"] == target]) for target in targets]
    return [
        *(_explained(curves(each, "explained_variance"), target, methods) for target, each in rows),
        *(_l0(curves(each[each["l0"] > 0], "l0"), target, methods) for target, each in rows),
    ] or [sentence("No training curves: training.tsv holds no rows.")]


def curves(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """Columns label, x (tokens), y, low, high of `score` over its seeds; at most `POINTS` rows a label."""
    groups = rows.dropna(subset=[score, "tokens"]).groupby(["label", "tokens"], sort=False)[score]
    frame = groups.agg(y="mean", low="min", high="max").reset_index().rename(columns={"tokens": "x"})
    places = sorted(frame["x"].unique())
    kept = places[::-1][:: max(1, -(-len(places) // POINTS))]
    return frame[frame["x"].isin(kept)]


def _explained(frame: pd.DataFrame, target: float, methods: Sequence[str]) -> Panel:
    title = f"Explained variance of the batch, L0 target {target:g}"
    if not len(frame):
        return sentence(f"{title}: not in training.tsv.")
    # the first tenth, where explained variance rises from anything below 0, may be left out
    settled = frame.loc[frame["x"] >= frame["x"].max() / 10]
    low = max(settled["y"].min(), 0.0) if settled["y"].max() > 0 else settled["low"].min()
    high = max(settled["high"].max(), low + 0.01)
    x = _tokens(frame)
    frame = frame[frame["y"] >= low].assign(low=lambda kept: kept["low"].clip(low))
    scale = alt.Scale(domain=[low, high], nice=False)
    y = alt.Y("y:Q", title=None, axis=alt.Axis(tickCount=6), scale=scale)
    layers = [*lines(methods, x, y), *unseen_points(x, y), *end_labels(methods, y)]
    rows = rows_of(with_places(frame, low, high))
    return Panel(layered(layers, title, "higher"), rows, right=LABEL_ROOM)


def _l0(frame: pd.DataFrame, target: float, methods: Sequence[str]) -> Panel:
    low, high = min(frame["low"].min(), target), max(frame["high"].max(), target)
    scale = alt.Scale(type="log", domain=[low * 0.9, high * 1.1], nice=False)
    y = alt.Y("y:Q", title=None, axis=alt.Axis(values=log_ticks(low, high, [target])), scale=scale)
    x = _tokens(frame)
    once = alt.Chart(ROWS).transform_aggregate(rows="count()")
    goal = once.mark_rule(style="target", strokeDash=[2, 3]).encode(y=alt.datum(target))
    layers = [*lines(methods, x, y), *unseen_points(x, y), goal]
    title = f"L0 of the batch (log), target {target:g} dotted"
    return Panel(layered(layers, title), rows_of(frame), right=LABEL_ROOM)


def _tokens(frame: pd.DataFrame) -> alt.X:
    axis = alt.Axis(tickCount=5, labelExpr="format(datum.value, '~s')")
    scale = alt.Scale(domain=[0, float(frame["x"].max())], nice=False, padding=12)
    return alt.X("x:Q", title="training tokens", axis=axis, scale=scale)
