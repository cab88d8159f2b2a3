"""A panel is an Altair chart and its rows; panels share colours, shapes, tooltips, headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

HEIGHT = 240
ROWS = alt.NamedData("rows")
"""The one data set of a panel; its rows stand in the panel's specification."""
FOCUS = {"name": "focus", "value": ""}
"""The label that the reader of the page brings out; empty for none."""


@dataclass(frozen=True)
class Panel:
    """A chart without a width; `left`, `right`: pixels that it needs beside its axes."""

    chart: Any  # alt.Chart or alt.LayerChart
    rows: Rows
    left: int = 0
    right: int = 0

    def spec(self, width: int | str) -> Spec:
        """The specification, `width` pixels wide or as wide as its "container"."""
        # Altair's own check takes longer than drawing; tests/charts makes it
        spec: Spec = self.chart.properties(width=width).to_dict(validate=False)
        del spec["$schema"]  # the page names no address; its script is of the same version
        spec.pop("config", None)
        return spec | {"data": {"values": self.rows}}


def rows_of(frame: pd.DataFrame) -> Rows:
    """The rows of `frame` with six significant digits and without what is missing."""
    return [
        {str(name): _short(value) for name, value in row.items() if not pd.isna(value)}
        for row in frame.to_dict("records")
    ]


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def shown(faint: float, full: float = 1.0) -> Any:
    """Opacity `full`, and `faint` while another label is brought out.

    For fill or stroke: the opacity of a whole mark costs vl-convert a layer of pixels, per mark.
    """
    return alt.condition("focus == '' || datum.label == focus", alt.value(full), alt.value(faint))


def colour(methods: Sequence[str]) -> alt.Color:
    """Colour by method, of the config's categories."""
    return alt.Color("method:N", legend=None, scale=alt.Scale(domain=list(methods)))


def shape(methods: Sequence[str]) -> alt.Shape:
    """Shape by method, of the config's symbols."""
    return alt.Shape("method:N", legend=None, scale=alt.Scale(domain=list(methods)))


def over_seeds(x: str) -> list[alt.Tooltip]:
    """What a point says of itself: columns label, x, y, low and high."""
    titles = {"x": x, "y": "mean over seeds", "low": "lowest seed", "high": "highest seed"}
    numbers = [alt.Tooltip(f"{name}:Q", title=title, format=".4~g") for name, title in titles.items()]
    return [alt.Tooltip("label:N", title="SAE"), *numbers]


def layered(layers: Sequence[Any], title: str, better: str = "", height: int = HEIGHT) -> Any:
    """The chart of `layers` with its heading and the direction that is better.

    Its rows know their method and whether they are a control, from their label `method (reading)`.
    """
    under = {"higher": "higher is better", "lower": "lower is better"}.get(better, "")
    chart = alt.layer(*layers).transform_calculate(
        method="split(datum.label, ' (')[0]", control="indexof(datum.label, ' (') > 0"
    )
    return chart.properties(title=alt.Title(title, subtitle=under) if under else title, height=height)


def sentence(text: str) -> Panel:
    """A panel that says why there is no chart."""
    chart = alt.Chart(ROWS).mark_text(fontSize=13).encode(text=alt.value(text))
    return Panel(chart.properties(height=60), [{}])


def ends(low: float, high: float, room: float = 0.06) -> tuple[float, float]:
    """An axis from `low` to `high` with `room`, a share of it, at either end."""
    more = room * (high - low) or 0.05 * abs(high) or 1.0
    return low - more, high + more
