"""Time and memory against n, d, tokens and the store's size, with fitted exponents."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.charts.style import COLOURS, canvas, png, style

LEAST_MB = 1.0
"""Peaks that rose by less are drawn and fitted as this: pages come and go in lumps."""


def exponents(row: dict[str, Any]) -> tuple[float, float]:
    """Slopes of log time and log memory over log size."""
    x, seconds, mb = _columns(row)
    return _slope(x, seconds), _slope(x, mb)


def plot(rows: dict[str, dict[str, Any]]) -> bytes:
    """PNG: two rows of panels, time above memory, one column per axis."""
    axes_of = [row for key, row in rows.items() if key.startswith("growth/")]
    with style():
        figure = canvas(3.0 * len(axes_of), 5.2)
        panels = figure.subplots(2, len(axes_of), squeeze=False)
        for place, row in enumerate(axes_of):
            x, *both = _columns(row)
            for panel, y, name, colour in zip(
                panels[:, place], both, ("CPU seconds", "MB"), COLOURS, strict=False
            ):
                slope = _slope(x, y)
                panel.loglog(x, y, "o", color=colour)
                panel.loglog(
                    x, np.exp(np.polyval(np.polyfit(np.log(x), np.log(y), 1), np.log(x))), color=colour
                )
                panel.set_title(f"{name} ~ x^{slope:.2f}")
                panel.set_ylim(y.min() / 2, y.max() * 2)
                panel.set_xticks(x, [f"{int(each):,}" for each in x], minor=False, rotation=30)
                panel.set_xticks([], minor=True)
                panel.set_xlabel(row["axis"])
        return png(figure)


def _columns(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = row["points"]
    x, seconds, mb = (np.array([point[name] for point in points], float) for name in ("x", "seconds", "mb"))
    return x, seconds, mb.clip(LEAST_MB)


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
