"""stability.tsv by hand: bins of the firing rate, latents counted once, the mean over pairs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from pipeline.compare.schemas import STABILITY
from pipeline.compare.scores import Source
from pipeline.compare.stability import stability


def source(*runs: tuple[str, str, float | None]) -> Source:
    named = [SimpleNamespace(label=label, name=name, target=target) for label, name, target in runs]
    return cast(Source, SimpleNamespace(runs=named))


def row(latent: int, rate: float, cosine: float | None, stable: int, **other: Any) -> dict[str, Any]:
    return {
        "label": "a", "run": "l0-4", "seed": 1, "other": 2, "latent": latent, "alive": int(rate > 0),
        "firing_rate": rate, "matched_cosine": cosine, "stable": stable, **other,
    }  # fmt: skip


def test_latents_are_counted_once_and_averaged_over_pairs() -> None:
    table = stability(
        pd.DataFrame([
            row(0, 0.02, 0.9, 1), row(0, 0.02, 0.5, 0, other=3),
            row(1, 0.015, 0.7, 1), row(1, 0.015, None, 0, other=3),
            row(2, 0.5, 1.0, 1), row(2, 0.5, 1.0, 1, other=3),
            row(3, 0.0, None, 0), row(3, 0.0, None, 0, other=3),
        ]),
        source(("b", "l0-4", 4.0), ("a", "l0-4", 4.0)),
    )  # fmt: skip
    assert list(table.columns) == list(STABILITY)
    assert table.latents.tolist() == [2, 1]
    assert table.rate.tolist() == pytest.approx([10**-1.75, 10**-0.25])
    assert table.cosine.tolist() == pytest.approx([(0.9 + 0.5 + 0.7) / 3, 1])
    assert table.stable.tolist() == pytest.approx([0.5, 1])
    assert table.target.tolist() == [4, 4]


def test_rows_come_in_the_order_of_the_table() -> None:
    rows = [row(0, 0.02, 0.9, 1, label=label, seed=seed) for label in ("b", "a") for seed in (2, 1)]
    table = stability(pd.DataFrame(rows), source(("a", "l0-4", None), ("b", "l0-4", 4.0)))
    assert list(zip(table.label, table.seed, strict=True)) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert table.target.isna().tolist() == [True, True, False, False]


def test_without_the_evaluation_or_a_second_seed_there_are_no_rows() -> None:
    assert stability(None, source()).empty
    one_seed = pd.DataFrame([row(0, 0.02, 0.9, 1)])[:0]
    assert stability(one_seed, source(("a", "l0-4", 4.0))).empty
