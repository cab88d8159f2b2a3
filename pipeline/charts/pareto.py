"""Scores against reached L0, one line per variant."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from pipeline.charts.style import SOFT, Palette, canvas, label_ends, nothing, png, style
from pipeline.compare.board import Entry
from pipeline.compare.headline import L0, SCORES, Headline
from pipeline.compare.summary import Summary, bounds, by_run, missed_target, over_seeds

PANELS = ("explained_variance", "ce_score", "absorption")
APART = 0.35
"""How far in log L0 a tick stands from its neighbours, so that labels do not touch."""
WORDS = {"higher": "higher is better", "lower": "lower is better", "neither": ""}


def pareto(entries: Sequence[Entry], palette: Palette) -> bytes:
    """PNG: explained variance, CE score and absorption against L0; bands are the range over seeds."""
    lines = _lines(entries)
    if not lines:
        return nothing("No SAE with a measured L0: there is nothing to lay against it.")
    columns = [column for name in PANELS for column in SCORES if column.name == name]
    with style():
        figure = canvas(12.5, 4.4)
        panels = figure.subplots(1, len(columns))
        for axes, column in zip(panels, columns, strict=True):
            _panel(axes, column, lines, palette)
        figure.supxlabel("L0: active latents per token (log scale). Hollow: more than 10 % off its target. "
                         "Dashed: control. Bars, bands: range over seeds.", fontsize=8.5)  # fmt: skip
        figure.draw_without_rendering()
        for axes, column in zip(panels, columns, strict=True):
            label_ends(axes, _ends(column, lines, palette))
        return png(figure)


def _lines(entries: Sequence[Entry]) -> dict[str, list[list[Entry]]]:
    """Runs by label, by rising reached L0; diverged seeds and paper presets left out."""
    shown = [each for each in entries if not each.diverged and (each.target is not None or each.external)]
    lines: dict[str, list[list[Entry]]] = {}
    for run in by_run(shown):
        if over_seeds(run, L0.key).mean is not None:
            lines.setdefault(run[0].label, []).append(run)
    for runs in lines.values():
        runs.sort(key=lambda run: over_seeds(run, L0.key).mean or 0.0)
    return lines


def _panel(axes: Axes, column: Headline, lines: dict[str, list[list[Entry]]], palette: Palette) -> None:
    for label, runs in lines.items():
        known = [run for run in runs if over_seeds(run, column.key).mean is not None]
        points = [(over_seeds(run, L0.key), over_seeds(run, column.key)) for run in known]
        variant = runs[0][0].variant
        colour, control = palette.colour(variant), label != variant
        axes.plot(
            [x.number for x, _ in points], [y.number for _, y in points], color=colour, lw=1.3,
            ls="--" if control else "-", alpha=0.85,
        )  # fmt: skip
        low, high = [bounds(y)[0] for _, y in points], [bounds(y)[1] for _, y in points]
        axes.fill_between([x.number for x, _ in points], low, high, color=colour, alpha=0.13, lw=0)
        for run, (x, y) in zip(known, points, strict=True):
            _point(axes, x, y, colour, palette.marker(variant), hollow=missed_target(run, L0))
    if not any(over_seeds(run, column.key).seeds for runs in lines.values() for run in runs):
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=SOFT)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(column.title)
        return
    axes.set_xscale("log")
    axes.margins(x=0.08, y=0.08)
    _ticks(axes, [run for runs in lines.values() for run in runs])
    axes.set_title(column.title)
    axes.set_ylabel(WORDS[column.better])


def _point(axes: Axes, x: Summary, y: Summary, colour: str, marker: str, hollow: bool) -> None:
    axes.errorbar(
        [x.number], [y.number], xerr=_bars(x), yerr=_bars(y), color=colour, marker=marker, ms=5.5, lw=1,
        mfc="white" if hollow else colour, mec=colour if hollow else "white", mew=1.1 if hollow else 0.6,
    )  # fmt: skip


def _bars(summary: Summary) -> list[list[float]]:
    low, high = bounds(summary)
    return [[max(summary.number - low, 0.0)], [max(high - summary.number, 0.0)]]


def _ticks(axes: Axes, runs: list[list[Entry]]) -> None:
    """At the targets, and at round numbers where a run lies far from all of them."""
    targets = sorted({run[0].target for run in runs if run[0].target is not None})
    low, high = axes.get_xlim()
    round_ones = [base * 10.0**power for power in range(-1, 6) for base in (1, 2, 5)]
    far = [tick for tick in round_ones if all(abs(math.log(tick / target)) > APART for target in targets)]
    axes.set_xticks(targets + [tick for tick in far if low < tick < high])
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _ends(
    column: Headline, lines: dict[str, list[list[Entry]]], palette: Palette
) -> list[tuple[float, float, str, str]]:
    ends = []
    for label, runs in lines.items():
        for run in reversed(runs):
            x, y = over_seeds(run, L0.key).mean, over_seeds(run, column.key).mean
            if x is not None and y is not None:
                ends.append((x, y, label, palette.colour(run[0].variant)))
                break
    return ends
