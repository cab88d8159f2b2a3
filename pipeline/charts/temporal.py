"""Flicker: how often a latent that is on is off at the next token, against shuffled tokens."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pipeline.charts.dots import dots, names, row_axis
from pipeline.charts.style import GRID, Palette, canvas, nothing, png, style
from pipeline.compare.board import Entry
from pipeline.compare.headline import FLICKER_SHUFFLED, L0, SCORES
from pipeline.compare.summary import by_run, over_seeds

FLICKER = next(column for column in SCORES if column.name == "flicker")


def temporal(entries: Sequence[Entry], palette: Palette) -> bytes:
    """PNG: one panel per L0 target; full markers in text order, hollow ones over shuffled tokens."""
    targets = sorted({entry.target for entry in entries if entry.target is not None})
    if not targets:
        return nothing("No SAE with an L0 target.")
    with style():
        groups = [by_run(entry for entry in entries if entry.target == target) for target in targets]
        figure = canvas(5.5 * len(targets), 1.3 + 0.27 * max(len(runs) for runs in groups))
        panels = figure.subplots(1, len(targets), squeeze=False, sharex=True)[0]
        for axes, target, runs in zip(panels, targets, groups, strict=True):
            labels = names(runs, L0)
            row_axis(axes, labels, shown=axes is panels[0] or labels != names(groups[0], L0))
            _panel(axes, runs, palette)
            axes.set_title(f"L0 target {target:g}")
            axes.set_xlabel("flicker: share of active latents off at the next token\n"
                            "filled: text order, hollow: shuffled tokens")  # fmt: skip
        return png(figure)


def _panel(axes: Axes, runs: Sequence[Sequence[Entry]], palette: Palette) -> None:
    for place, run in enumerate(runs):
        ordered, shuffled = (over_seeds(run, key).mean for key in (FLICKER.key, FLICKER_SHUFFLED))
        if ordered is None or shuffled is None:
            continue
        axes.plot([ordered, shuffled], [place, place], color=GRID, lw=4, zorder=1)
        colour, marker = palette.colour(run[0].variant), palette.marker(run[0].variant)
        axes.plot(shuffled, place, marker, color=colour, mfc="white", ms=6.5, mew=1.2, zorder=4)
    dots(axes, runs, FLICKER.key, palette)
