"""Absorption letter by letter, as a heat map."""

from __future__ import annotations

import altair as alt
import pandas as pd

from pipeline.charts.heat import heat
from pipeline.charts.panel import Panel, sentence


def letters(table: pd.DataFrame) -> list[Panel]:
    """A panel per L0 target; a letter without a value, which the absorption stage dropped, is grey."""
    if not table["fraction"].notna().any():
        return [sentence("No absorption per letter: no letter passed the probe, or none was measured.")]
    top = max(float(table["fraction"].max()), 0.01)
    x = alt.X("x:N", title="first letter (grey: not measured)", axis=alt.Axis(labelAngle=0))
    value = alt.Color("value:Q", title="fraction", scale=alt.Scale(domain=[0, top]))
    rows = table.rename(columns={"letter": "x", "fraction": "value"})
    return [
        heat(here, x, value, f"Mean absorption fraction, L0 target {target:g}", "lower", ["words"])
        for target, here in rows.groupby("target")
    ]
