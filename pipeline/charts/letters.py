"""Absorption letter by letter, as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from pipeline.charts.style import canvas, nothing, png, style

ABSENT = "#c3c7cc"


def letters(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG: one panel per L0 target, labels by letters; a letter without a value is grey."""
    rows = [row for row in rows if row["target"] is not None]
    targets = sorted({row["target"] for row in rows})
    if not any(row["fraction"] is not None for row in rows):
        return nothing("No absorption per letter: no letter passed the probe, or none was measured.")
    alphabet = sorted({row["letter"] for row in rows})
    top = max(max(row["fraction"] or 0.0 for row in rows), 0.01)
    with style():
        labels = {target: _labels(rows, target) for target in targets}
        heights = [len(labels[target]) for target in targets]
        figure = canvas(10, 1.0 + sum(0.29 * height + 0.45 for height in heights))
        panels = figure.subplots(len(targets), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, target in zip(panels, targets, strict=True):
            image = _panel(
                axes, [row for row in rows if row["target"] == target], labels[target], alphabet, top
            )
            axes.set_title(f"L0 target {target:g}")
        panels[-1].set_xlabel("first letter (grey: not measured)")
        bar = figure.colorbar(image, ax=list(panels), shrink=0.8, pad=0.01, aspect=30)
        bar.set_label("mean absorption fraction, mean over seeds (lower is better)")
        bar.outline.set_visible(False)
        return png(figure)


def _labels(rows: Sequence[Mapping[str, Any]], target: float) -> list[str]:
    return list(dict.fromkeys(row["label"] for row in rows if row["target"] == target))


def _panel(
    axes: Axes, rows: Sequence[Mapping[str, Any]], labels: list[str], alphabet: list[str], top: float
) -> AxesImage:
    values = np.full((len(labels), len(alphabet)), np.nan)
    for row in rows:
        if row["fraction"] is not None:
            values[labels.index(row["label"]), alphabet.index(row["letter"])] = row["fraction"]
    axes.set_facecolor(ABSENT)
    image = axes.imshow(np.ma.masked_invalid(values), cmap="Blues", vmin=0, vmax=top, aspect="auto")
    axes.set_xticks(range(len(alphabet)), alphabet)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for edge in range(1, len(labels)):
        axes.axhline(edge - 0.5, color="white", lw=1.2)
    for edge in range(1, len(alphabet)):
        axes.axvline(edge - 0.5, color="white", lw=1.2)
    return image
