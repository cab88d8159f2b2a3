"""How training went: explained variance and L0 against tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

from pipeline.charts.style import SOFT, Palette, canvas, label_ends, nothing, png, style
from pipeline.compare.board import Entry

Curve = tuple[Entry, Sequence[Mapping[str, Any]]]
Point = tuple[float, float, float, float]
"""(tokens, mean, lowest, highest) over seeds."""

ERRORS = {
    "explained_variance": "explained variance\nof the training batch",
    "reconstruction": "reconstruction error\n(E|x|² = d)",
    "loss": "training loss\n(not comparable between variants)",
}
"""The first of these that the curves have is drawn."""


def training(curves: Sequence[Curve], palette: Palette) -> bytes:
    """PNG: a column per L0 target, score above and L0 below; mean and range over seeds, controls dashed."""
    curves = [curve for curve in curves if curve[1]]
    targets = sorted({entry.target for entry, _ in curves if entry.target is not None})
    error = next((name for name in ERRORS if any(name in curve[1][0] for curve in curves)), None)
    if not targets or error is None:
        return nothing("No training curves: training.tsv holds no rows.")
    with style():
        figure = canvas(6.3 * len(targets), 6)
        grid = figure.subplots(2, len(targets), sharex="col", squeeze=False)
        ends = []
        for target, (top, bottom) in zip(targets, grid.T, strict=True):
            here = [curve for curve in curves if curve[0].target == target]
            top.set_title(f"L0 target {target:g}")
            ends.append(_lines(top, here, error, palette))
            _lines(bottom, here, "l0", palette)
            bottom.axhline(target, color=SOFT, lw=1, ls=":")
            bottom.set_xlabel("training tokens")
            bottom.xaxis.set_major_formatter(EngFormatter(sep=" "))
        grid[0][0].set_ylabel(ERRORS[error])
        grid[1][0].set_ylabel("L0 of the training batch\n(dotted: target)")
        figure.draw_without_rendering()
        for axes, end in zip(grid[0], ends, strict=True):
            label_ends(axes, end)
        return png(figure)


def _lines(
    axes: Axes, curves: Sequence[Curve], column: str, palette: Palette
) -> list[tuple[float, float, str, str]]:
    """Draw one line per label; gives the (x, y, label, colour) of their ends."""
    ends: list[tuple[float, float, str, str]] = []
    settled: list[float] = []
    for label in dict.fromkeys(entry.label for entry, _ in curves):
        seeds = [curve for curve in curves if curve[0].label == label]
        points = _over_seeds(seeds, column)
        if not points:
            continue
        variant = seeds[0][0].variant
        tokens, mean, low, high = zip(*points, strict=True)
        colour = palette.colour(variant)
        axes.plot(tokens, mean, color=colour, lw=1.2, ls="-" if label == variant else "--")
        axes.fill_between(tokens, low, high, color=colour, alpha=0.15, lw=0)
        ends.append((tokens[-1], mean[-1], label, colour))
        settled += mean[len(mean) // 10 :]
    if column != "explained_variance":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif settled and max(settled) > 0:
        # the first tenth, where explained variance rises from anything below 0, may leave the panel
        axes.set_ylim(max(min(settled), 0.0), min(max(settled) * 1.03, 1.0))
    return ends


def _over_seeds(curves: Sequence[Curve], column: str) -> list[Point]:
    """The points that any seed has, by tokens."""
    at: dict[float, list[float]] = {}
    for _, points in curves:
        for point in points:
            if point.get(column) is not None and point.get("tokens") is not None:
                at.setdefault(point["tokens"], []).append(point[column])
    return [
        (tokens, sum(values) / len(values), min(values), max(values)) for tokens, values in sorted(at.items())
    ]
