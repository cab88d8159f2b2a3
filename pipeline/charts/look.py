"""One look for every chart: colours, shapes and fonts; pictures are light, the page is light or dark.

Colours stand in Vega-Lite's config and not in the charts, so the same specification is drawn on both grounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

Theme = Literal["light", "dark"]

COLOURS: dict[Theme, tuple[str, ...]] = {
    "light": (
        "#492ba2", "#db4d62", "#03472d", "#c5871c", "#259c98", "#85455f", "#3281ef", "#516f10", "#a659c2",
        "#06668f", "#09416e", "#7b1316",
    ),
    "dark": (
        "#8e8cfe", "#fb8185", "#538c4d", "#fccd64", "#77faea", "#a3738d", "#bcd6ff", "#a1b511", "#ec99f7",
        "#1581c7", "#789eb6", "#ce5b2f",
    ),
}  # fmt: skip
"""A method keeps its hue on both grounds. Found by a search: any two differ by at least 6 (100 times their
distance in OKLab) also for readers without red or green cones; contrast with the ground is at least 3."""

SHAPES = (
    "circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right",
    "M0,-1L.2,-.3L.95,-.3L.35,.12L.6,.8L0,.4L-.6,.8L-.35,.12L-.95,-.3L-.2,-.3Z", "triangle-left",
    "M-.9,-.5L-.5,-.9L0,-.4L.5,-.9L.9,-.5L.4,0L.9,.5L.5,.9L0,.4L-.5,.9L-.9,.5L-.4,0Z",
    "M0,-1L.87,-.5L.87,.5L0,1L-.87,.5L-.87,-.5Z", "M-.5,-.9L.5,-.9L.5,.9L-.5,.9Z",
)  # fmt: skip
"""Tell methods apart without colour: Vega's, then a star, an X, a hexagon and a bar."""

INKS: dict[Theme, tuple[str, str, str]] = {
    "light": ("#1d2023", "#5c6269", "#e2e4e7"),
    "dark": ("#e8eaed", "#9ba2ab", "#31363d"),
}
"""Text, secondary text, grid."""

GROUND: dict[Theme, str] = {"light": "#ffffff", "dark": "#1a1d22"}
HEAT: dict[Theme, tuple[str, ...]] = {
    "light": ("#f2f6fa", "#b9d3e8", "#6aa3cf", "#2a6cab", "#0a2f66"),
    "dark": ("#20262e", "#1f4166", "#2f6fa8", "#74addd", "#e3f0fb"),
}
"""From the ground to its opposite, of one hue: lightness alone says how much."""

FONT = "Liberation Sans, Arial, sans-serif"
"""The first is inside vl-convert, so a picture does not depend on the fonts of the machine."""


def config(theme: Theme) -> dict[str, Any]:
    """Vega-Lite's config of one theme."""
    ink, soft, line = INKS[theme]
    return {
        "background": GROUND[theme],
        "font": FONT,
        "view": {"stroke": None},
        "title": {"color": ink, "subtitleColor": soft, "anchor": "start", "frame": "group", "fontSize": 13,
                  "fontWeight": "bold", "subtitleFontSize": 11, "offset": 10},
        "axis": {"labelColor": soft, "titleColor": soft, "gridColor": line, "domainColor": soft,
                 "tickColor": soft, "titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 11.5},
        "axisY": {"domain": False, "ticks": False, "labelPadding": 6},
        "legend": {"labelColor": soft, "titleColor": soft, "titleFontWeight": "normal", "labelFontSize": 11,
                   "titleFontSize": 11},
        "text": {"fontSize": 11, "color": soft},
        "style": {
            "target": {"color": soft},
            "gap": {"color": line},
            "hollow": {"fill": GROUND[theme]},
            "cell": {"xOffset": 0.5, "x2Offset": -0.5, "yOffset": 0.5, "y2Offset": -0.5},
        },
        "point": {"opacity": 1},
        "range": {"category": list(COLOURS[theme]), "symbol": list(SHAPES), "heatmap": list(HEAT[theme])},
    }  # fmt: skip


def method(label: str) -> str:
    """The method behind a row: a control, `method (reading)`, looks like its method."""
    return label.split(" (", 1)[0]


def methods(labels: Iterable[str]) -> list[str]:
    """The methods behind `labels`, each once: the domain of colours and shapes in every chart."""
    return list(dict.fromkeys(map(method, labels)))
