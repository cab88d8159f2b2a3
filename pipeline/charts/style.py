"""One look for every figure: colour-blind-safe colours, direct labels, bytes that never change."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = (
    "#332288", "#cc6677", "#117733", "#b07d12", "#2a9d8f", "#882255", "#3d9bd1", "#85852a", "#aa4499",
    "#000000", "#4477aa", "#d8602f",
)  # fmt: skip
"""Paul Tol's muted scheme, its light members darkened so that text in them reads on white."""

MARKERS = "osD^vPX<>hp*"
INK, SOFT, GRID = "#1c1e21", "#62676e", "#e3e5e8"
DPI = 140
LEADER: dict[str, Any] = {
    "arrowstyle": "-",
    "lw": 0.5,
    "alpha": 0.7,
    "shrinkA": 1,
    "shrinkB": 3,
    "relpos": (0, 0.5),
}

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
}


class Palette:
    """Colour and marker of each variant, by its place in params; a control has its variant's, hollow."""

    def __init__(self, variants: Sequence[str]) -> None:
        self._place = {variant: place for place, variant in enumerate(variants)}

    def colour(self, variant: str) -> str:
        """The variant's colour."""
        return COLOURS[self._place[variant] % len(COLOURS)]

    def marker(self, variant: str) -> str:
        """The variant's marker: tells it apart without colour."""
        return MARKERS[self._place[variant] % len(MARKERS)]


def png(figure: Figure) -> bytes:
    """`figure` as PNG bytes without a time stamp or software name."""
    stream = io.BytesIO()
    figure.savefig(
        stream, format="png", dpi=DPI, metadata={"Software": None}, bbox_inches="tight", pad_inches=0.15
    )
    return stream.getvalue()


def canvas(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches, outside pyplot's global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style() -> AbstractContextManager[None]:
    """The rc settings as a context: `with style(): ...` builds and saves a figure."""
    settings: Any = {**matplotlib.rcParamsDefault, **RC, "backend": "agg"}
    return matplotlib.rc_context(settings)


def nothing(reason: str) -> bytes:
    """A picture that says why there is no figure."""
    with style():
        figure = canvas(7, 1.2)
        figure.text(0.5, 0.5, reason, ha="center", va="center", color=SOFT)
        return png(figure)


def spread_labels(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights nearest to `wanted` (least squares) at least `gap` apart and, with room, in [low, high].

    Isotonic regression of the heights less their slots, by pooling neighbours that would collide.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    blocks: list[list[float]] = []  # [sum, count]
    for slot, i in enumerate(order):
        blocks.append([wanted[i] - slot * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    levels = [total / count for total, count in blocks for _ in range(int(count))]
    top = high - (len(wanted) - 1) * gap
    result = [0.0] * len(wanted)
    for slot, i in enumerate(order):
        result[i] = max(min(levels[slot], top), low) + slot * gap
    return result


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], size: float = 8) -> None:
    """Write each (x, y, text, colour) at the right edge of `axes`, at its height, none over another.

    Call it when limits and scales are final.
    """
    height = axes.get_window_extent().height
    gap = size * 1.3 * axes.figure.dpi / 72 / height
    to_axes = axes.transAxes.inverted()
    ys = [float(to_axes.transform(axes.transData.transform((x, y)))[1]) for x, y, _, _ in ends]
    for (x, y, text, colour), place in zip(ends, spread_labels(ys, gap, 0.0, 1.0), strict=True):
        axes.annotate(
            text, xy=(x, y), xycoords="data", xytext=(1.06, place), textcoords="axes fraction", va="center",
            color=colour, fontsize=size, annotation_clip=False,
            arrowprops={**LEADER, "color": colour},
        )  # fmt: skip
