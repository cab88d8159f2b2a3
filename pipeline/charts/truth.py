"""Scores on synthetic activations whose dictionary is known."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pipeline.charts.dots import dots, names, row_axis
from pipeline.charts.style import Palette, canvas, nothing, png, style
from pipeline.compare.board import Entry
from pipeline.compare.headline import TRUTH, TRUTH_L0, Headline
from pipeline.compare.summary import by_run


def truth(entries: Sequence[Entry], palette: Palette) -> bytes:
    """PNG: one row of panels per L0 target, one panel per ground-truth score, one line per variant."""
    targets = sorted({entry.target for entry in entries if entry.target is not None})
    if not targets:
        return nothing("No ground-truth results with an L0 target.")
    columns = [column for column in TRUTH if column.narrow]
    with style():
        groups = [by_run(entry for entry in entries if entry.target == target) for target in targets]
        heights = [0.9 + 0.27 * len(runs) for runs in groups]
        figure = canvas(11, sum(heights) + 0.3)
        grid = figure.subplots(len(targets), len(columns), squeeze=False, sharex="col", height_ratios=heights)
        for panels, target, runs in zip(grid, targets, groups, strict=True):
            labels = names(runs, TRUTH_L0)
            for axes, column in zip(panels, columns, strict=True):
                row_axis(axes, labels, shown=axes is panels[0])
                dots(axes, runs, column.key, palette)
                axes.set_title(f"{column.title}, L0 target {target:g}")
        for axes, column in zip(grid[-1], columns, strict=True):
            _limits(axes, column)
        return png(figure)


def _limits(axes: Axes, column: Headline) -> None:
    """From 0; up to 1 where 1 is the best there is."""
    axes.set_xlabel(f"{column.better} is better")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.0), max(high, 1.0) if column.better == "higher" else high)
