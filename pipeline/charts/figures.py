"""Charts by name: as panels for the page, as pictures for reports/figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from altair.utils.schemapi import debug_mode

from pipeline.charts.letters import letters
from pipeline.charts.look import config, methods
from pipeline.charts.panel import FOCUS, Panel, Spec
from pipeline.charts.pareto import Headlines, pareto
from pipeline.charts.persistence import persistence
from pipeline.charts.probing import probing
from pipeline.charts.stability import stability
from pipeline.charts.training import training
from pipeline.charts.truth import truth

TRUTH = "truth"
"""The source of the scores on synthetic activations."""
NUMBERS, HEADING = 40, 86
"""Pixels left of a panel for the numbers of its axis, and above it for its heading and the axis before it."""
SCALE = 1.6
"""Pixels of a picture per pixel of the specification: sharp where shown as wide as a page."""


@dataclass(frozen=True)
class Arrangement:
    """A picture: panels beside each other, pixels of each, and what is said under them."""

    columns: int
    width: int
    caption: str


OVER_SEEDS = "Mean over seeds, range over seeds as a band. Dashed: controls."
ARRANGED = {
    "pareto": Arrangement(3, 250, f"{OVER_SEEDS} Hollow: more than 10 % off the L0 target."),
    "training": Arrangement(2, 400, OVER_SEEDS),
    "letters": Arrangement(1, 600, "Mean over words and seeds."),
    "ground_truth": Arrangement(2, 300, "Mean over seeds, range over seeds as a bar."),
    "persistence": Arrangement(2, 300, "Mean over seeds, range over seeds as a bar."),
}


def panels(tables: Mapping[str, pd.DataFrame], columns: Headlines) -> dict[str, list[Panel]]:
    """The charts of the tables "summary", "training", "letters", "probing" and "stability" of reports/tables.

    `columns`: title, better, source (text or truth), stage and metric of each headline score, in order.
    """
    summary = tables["summary"]
    order = methods(summary["label"])
    with debug_mode(arg=False):  # see Panel.spec
        return {
            "pareto": pareto(summary, [each for each in columns if each["source"] != TRUTH], order),
            "training": training(tables["training"], order),
            "letters": letters(tables["letters"]),
            "ground_truth": truth(summary, [each for each in columns if each["source"] == TRUTH], order),
            "persistence": persistence(summary, order),
            "probing": probing(tables["probing"]),
            "stability": stability(tables["stability"], order),
        }


def figures(tables: Mapping[str, pd.DataFrame], columns: Headlines) -> dict[str, bytes]:
    """The same charts as PNG by name."""
    drawn = panels(tables, columns)
    return {name: png(arranged(drawn[name], place)) for name, place in ARRANGED.items()}


def arranged(each: Sequence[Panel], place: Arrangement) -> Spec:
    """One specification of all panels."""
    left, right = (max(room) for room in zip(*((panel.left, panel.right) for panel in each), strict=True))
    return {
        "params": [FOCUS],
        "title": {"text": place.caption, "orient": "bottom", "fontSize": 11, "fontWeight": "normal"},
        "concat": [panel.spec(place.width) for panel in each],
        "columns": place.columns,
        "bounds": "flush",
        "spacing": {"row": HEADING, "column": max(left, NUMBERS) + right},
    }


def embedded(panel: Panel) -> Spec:
    """The specification of one panel for the page: as wide as its place, labels included."""
    return {"params": [FOCUS], **panel.spec("container")}


def png(spec: Spec) -> bytes:
    """`spec` in the light look; the same bytes on every run: its fonts are vl-convert's own."""
    import vl_convert

    look = config("light")
    picture: bytes = vl_convert.vegalite_to_png(spec, scale=SCALE, config=look, allowed_base_urls=[])
    return picture
