"""The figure of lengths is a picture, the same on every run."""

from __future__ import annotations

import pandas as pd

from pipeline.charts.length import length_figure


def test_a_panel_per_target_and_the_same_bytes_again() -> None:
    rows = [
        {"label": label, "target": target, "x": x, "y": 0.1 * x / target, "missed": x == 4}
        for label in ("standard", "topk")
        for target in (8, 32)
        for x in (1, 4)
    ]
    drawn = length_figure(pd.DataFrame(rows))
    assert drawn.startswith(b"\x89PNG")
    assert drawn == length_figure(pd.DataFrame(rows))
    assert drawn != length_figure(pd.DataFrame(rows[:4]))
