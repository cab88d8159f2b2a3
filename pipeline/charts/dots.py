"""Rows of dots: one row per SAE variant, the mean large, every seed small."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pipeline.charts.style import SOFT, Palette
from pipeline.compare.board import Entry
from pipeline.compare.headline import Headline, Key
from pipeline.compare.summary import bounds, missed_target, over_seeds


def names(runs: Sequence[Sequence[Entry]], l0: Headline) -> list[str]:
    """The rows' labels; a run off its L0 target carries the L0 it reached."""
    return [
        f"{run[0].label}, L0 {over_seeds(run, l0.key).number:.3g}!"
        if missed_target(run, l0)
        else run[0].label
        for run in runs
    ]


def row_axis(axes: Axes, labels: Sequence[str], shown: bool) -> None:
    """One row per label, the first on top, named when `shown`."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels if shown else [""] * len(labels))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def dots(axes: Axes, runs: Sequence[Sequence[Entry]], key: Key, palette: Palette) -> None:
    """The number under `key` of each run; a run without it says `diverged` or `missing` in its row."""
    for place, run in enumerate(runs):
        colour, marker = palette.colour(run[0].variant), palette.marker(run[0].variant)
        summary = over_seeds(run, key)
        if summary.mean is None:
            _absent(axes, place, run)
            continue
        low, high = bounds(summary)
        axes.plot([low, high], [place, place], color=colour, lw=2, alpha=0.5, zorder=2)
        for entry in run:
            value = entry.get(key).value
            if value is not None:
                axes.plot(value, place, ".", color=colour, ms=3, alpha=0.7, zorder=3)
        axes.plot(summary.number, place, marker, color=colour, ms=6.5, mew=1.2, zorder=4)


def _absent(axes: Axes, place: int, run: Sequence[Entry]) -> None:
    word = "diverged" if all(entry.diverged for entry in run) else "missing"
    axes.text(0.02, place, word, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=SOFT)
