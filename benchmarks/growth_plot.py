"""Time and memory against n, d, tokens and the store's size, with fitted exponents."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from pipeline.charts.figures import png

LEAST_MB = 1.0
"""Peaks that rose by less are drawn and fitted as this: pages come and go in lumps."""


def exponents(row: dict[str, Any]) -> tuple[float, float]:
    """Slopes of log time and log memory over log size."""
    x, seconds, mb = _columns(row)
    return _fit(x, seconds)[0], _fit(x, mb)[0]


def plot(rows: dict[str, dict[str, Any]]) -> bytes:
    """PNG: two rows of panels, time above memory, one column per axis."""
    axes_of = [row for key, row in rows.items() if key.startswith("growth/")]
    panels = [
        _panel(row["axis"], name, _columns(row)[0], _columns(row)[column])
        for column, name in ((1, "CPU seconds"), (2, "MB"))
        for row in axes_of
    ]
    spec = alt.concat(*panels, columns=len(axes_of)).to_dict()
    return png(spec)


def _panel(axis: str, name: str, x: np.ndarray, y: np.ndarray) -> Any:
    slope, start = _fit(x, y)
    fitted = np.exp(start) * x**slope
    both = zip(x.tolist(), y.tolist(), fitted.tolist(), strict=True)
    rows = [{"x": at, "y": value, "fit": line} for at, value, line in both]
    domain = alt.Scale(type="log", domain=[float(y.min()) / 2, float(y.max()) * 2])
    ticks = alt.Axis(values=x.tolist(), format=",d", labelAngle=-30)
    base = (
        alt.Chart(alt.Data(values=rows))
        .encode(
            x=alt.X("x:Q", title=axis, axis=ticks, scale=alt.Scale(type="log", nice=False, padding=10)),
            color=alt.Color("name:N", legend=None, scale=alt.Scale(domain=["CPU seconds", "MB"])),
        )
        .transform_calculate(name=f"'{name}'")
    )
    line = base.mark_line().encode(y=alt.Y("fit:Q", title=None, scale=domain))
    points = base.mark_point(filled=True).encode(y=alt.Y("y:Q", title=None, scale=domain))
    return (line + points).properties(title=f"{name} ~ x^{slope:.2f}", width=210, height=160)


def _columns(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = row["points"]
    x, seconds, mb = (np.array([point[name] for point in points], float) for name in ("x", "seconds", "mb"))
    return x, seconds, mb.clip(LEAST_MB)


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope, start = np.polyfit(np.log(x), np.log(y), 1)
    return float(slope), float(start)
