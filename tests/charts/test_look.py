"""The palette, and labels that stay apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.charts.lines import apart
from pipeline.charts.look import COLOURS, GROUND, SHAPES, Theme, methods
from pipeline.charts.ticks import log_ticks

heights = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12)


@given(heights)
def test_labels_stay_apart_in_order_and_inside(wanted: list[float]) -> None:
    gap = 0.05
    placed = apart(np.array(wanted), gap, 0.0, 1.0)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) >= gap - 1e-9).all()
    assert placed.min() >= -1e-9
    assert placed.max() <= 1 + 1e-9


def test_labels_with_room_stay_where_they_belong() -> None:
    assert apart(np.array([0.8, 0.2, 0.5]), 0.1, 0.0, 1.0) == pytest.approx([0.8, 0.2, 0.5])


def test_two_at_one_height_part_evenly() -> None:
    assert apart(np.array([0.5, 0.5]), 0.1, 0.0, 1.0) == pytest.approx([0.45, 0.55])


def test_ticks_stand_at_the_targets_and_far_from_them() -> None:
    assert log_ticks(3.7, 16.1, [4.0, 16.0]) == [4, 16, 10]


def test_a_control_has_the_place_of_its_method() -> None:
    assert methods(["standard", "standard (pairs)", "topk", "standard (contexts)"]) == ["standard", "topk"]


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_reads_on_its_ground(theme: Theme) -> None:
    """WCAG contrast of at least 3 to 1, the bound for graphics and large text."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    ground = linear(GROUND[theme]) @ weights
    for colour in COLOURS[theme]:
        low, high = sorted((ground, linear(colour) @ weights))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


SEEN = {
    "all cones": np.eye(3),
    "without green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                               [-0.011820, 0.042940, 0.968881]]),
    "without red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                             [-0.003882, -0.048116, 1.051998]]),
}  # fmt: skip
"""Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB."""
TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                   [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                     [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
"""Ottosson 2020."""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("reader", SEEN)
def test_any_two_colours_differ_for_every_reader(theme: Theme, reader: str) -> None:
    seen = [np.clip(SEEN[reader] @ linear(colour), 0, 1) for colour in COLOURS[theme]]
    places = [TO_OKLAB @ np.cbrt(TO_LMS @ each) for each in seen]
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) >= 0.0595


def test_twelve_methods_differ_in_colour_and_in_shape() -> None:
    assert [len(set(each)) for each in (*COLOURS.values(), SHAPES)] == [12, 12, 12]
