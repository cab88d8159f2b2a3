"""Accuracy of the sparsest probes by task, as a heat map."""

from __future__ import annotations

import altair as alt
import pandas as pd

from pipeline.charts.heat import heat
from pipeline.charts.panel import Panel, sentence

RAW = {"raw_neurons": "raw residual, neuron", "raw_dense": "dense probe"}


def probing(problems: pd.DataFrame) -> list[Panel]:
    """A panel per L0 target, for the fewest latents, means over seeds; the last rows are without an SAE."""
    first = problems[problems["k"] == problems["k"].min()]
    rows = first.assign(x=first["set"] + ": " + first["class"])
    return [
        _panel(here, f"Probing accuracy, k = {here['k'].iloc[0]}, L0 target {target:g}")
        for target, here in rows.groupby("target")
    ] or [sentence("No probing results with an L0 target.")]


def _panel(rows: pd.DataFrame, title: str) -> Panel:
    raw = [rows.assign(label=name, accuracy=rows[column]) for column, name in RAW.items()]
    means = pd.concat([rows, *raw]).groupby(["label", "x"], sort=False)["accuracy"].mean()
    x = alt.X("x:N", title="task: class", sort=None, axis=alt.Axis(labelAngle=-60, labelLimit=140))
    value = alt.Color("value:Q", title="accuracy")
    return heat(means.rename("value").reset_index(), x, value, title, "higher")
