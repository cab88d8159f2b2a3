"""Placing labels, and the palette."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline.charts.style import COLOURS, MARKERS, Palette, spread_labels

heights = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12)


@given(heights)
def test_labels_stay_apart_in_order_and_inside(wanted: list[float]) -> None:
    gap = 0.05
    placed = spread_labels(wanted, gap, 0.0, 1.0)
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    steps = np.diff([placed[i] for i in order])
    assert (steps >= gap - 1e-9).all()
    assert min(placed) >= -1e-9
    assert max(placed) <= 1 + 1e-9


def test_labels_with_room_stay_where_they_belong() -> None:
    assert spread_labels([0.8, 0.2, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.8, 0.2, 0.5])


def test_two_at_one_height_part_evenly() -> None:
    assert spread_labels([0.5, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.45, 0.55])


def test_a_variant_keeps_its_look_when_another_is_added_behind_it() -> None:
    few, more = Palette(["a", "b"]), Palette(["a", "b", "c"])
    assert [few.colour(v) + few.marker(v) for v in "ab"] == [more.colour(v) + more.marker(v) for v in "ab"]


def test_twelve_variants_differ_in_colour_and_marker() -> None:
    assert len(set(COLOURS)) == 12
    assert len(set(MARKERS)) == 12


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_reads_on_white(colour: str) -> None:
    """WCAG contrast of at least 3 to 1, the bound for graphics and large text."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    assert 1.05 / (luminance + 0.05) >= 3
