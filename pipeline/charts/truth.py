"""Scores on synthetic activations whose dictionary is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.charts.panel import Panel, sentence
from pipeline.charts.pareto import Headlines
from pipeline.charts.rows import across, named, panel, points
from pipeline.charts.runs import measured


def truth(summary: pd.DataFrame, columns: Headlines, methods: Sequence[str]) -> list[Panel]:
    """A row of panels per score, a panel per L0 target."""
    return [
        each for column in columns for each in _panels(named(measured(summary, column)), column, methods)
    ] or [sentence("No ground-truth results with an L0 target.")]


def _panels(frame: pd.DataFrame, column: Mapping[str, Any], methods: Sequence[str]) -> list[Panel]:
    layers = points(methods, across(frame, None))
    return [
        panel(rows, layers, f"{column['title']}, L0 target {target:g}", column["better"])
        for target, rows in frame.groupby("target")
    ]
