"""Scores made again from listed items: the stage's own value, and whole items under resampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.compare.columns import headlines
from pipeline.compare.paired.items import RESAMPLES, SEED, Sums
from pipeline.metrics.behavior.measure import COLUMNS as BEHAVIOR
from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction import persistence
from pipeline.metrics.reconstruction.measure import Reconstruction
from pipeline.tasks.letters.words import f1
from tests.compare.fake import DEFINED, SECTION
from tests.metrics.codes import random_sae

DEFINITIONS = {(stage, each.name): each for stage, found in DEFINED.items() for each in found}


def sums(name: str, rows: Any) -> Sums:
    """The column `name` made again from `rows` of its table."""
    (column,) = (each for each in headlines(DEFINITIONS) if each.name == name)
    headline = DEFINITIONS[column.key].headline
    assert headline is not None
    assert headline.items is not None
    return Sums.of(pd.DataFrame(rows), headline.items)


def test_explained_variance_is_the_reconstruction_stages() -> None:
    generator = torch.Generator().manual_seed(0)
    x, context = torch.randn(60, 8, generator=generator), torch.arange(60) // 10
    sae = random_sae(8, 16, 3, 1)
    measured = Reconstruction(16, x.double().mean(0))
    codes = sae.encode(x)
    measured.add(x, sae.decode(codes), codes, context)
    value = measured.values(Resampling(100, 0))["explained_variance"].value
    found = sums("explained_variance", list(measured.sums.rows()))
    assert found.value() == pytest.approx(value, rel=1e-12)
    assert found.names == tuple(range(6))


def test_kl_is_a_ratio_of_sums() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.uniform(1, 2, 9) for name in BEHAVIOR}).assign(context=range(9))
    assert sums("kl", rows).value() == pytest.approx(rows.kl_sae.sum() / rows.kl_tokens.sum())


def test_persistence_is_drawn_again_with_the_shuffled_tokens_of_the_same_contexts() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.uniform(1, 2, 9) for name in persistence.TABLE}).assign(context=range(9))
    rows["on_followed"] += 2
    rows["on_followed_shuffled"] += 2

    def expected(drawn: pd.DataFrame) -> float:
        total = drawn.sum()
        ordered = 1 - total.stays_on / total.on_followed
        return float(1 - ordered / (1 - total.stays_on_shuffled / total.on_followed_shuffled))

    found = sums("persistence", rows)
    assert found.value() == pytest.approx(expected(rows))
    counts = np.random.default_rng(SEED).multinomial(9, np.full(9, 1 / 9), size=RESAMPLES)
    draws = found.draws()
    for each in (0, 1, 999):
        assert draws[each] == pytest.approx(expected(rows.loc[np.repeat(rows.index, counts[each])]))
    total = rows.sum()
    ratio = (total.smoothness_shuffled / total.moving_pairs_shuffled) / (
        total.smoothness / total.moving_pairs
    )
    assert sums("smoothness", rows).value() == pytest.approx(ratio)


WORDS = [
    {"word": "ant", "letter": "a", "kept": 1, "main_silent": 1, "full_absorption": 1, "chance": 0.5},
    {"word": "arm", "letter": "a", "kept": 1, "main_silent": 0, "full_absorption": 0, "chance": 0.0},
    {"word": "bee", "letter": "b", "kept": 1, "main_silent": 1, "full_absorption": 0, "chance": 0.25},
    {"word": "cat", "letter": "c", "kept": 0, "main_silent": 1, "full_absorption": 1, "chance": 0.0},
]


def test_absorption_weighs_letters_equally_and_leaves_dropped_ones_out() -> None:
    assert sums("miss_rate", WORDS).value() == pytest.approx((0.5 + 1.0) / 2)
    assert sums("miss_rate", WORDS).names == ("ant", "arm", "bee", "cat")


def test_the_carrier_is_pooled_over_missed_words() -> None:
    assert sums("carrier", WORDS).value() == pytest.approx((0.5 - 0.25) / 2)


def test_letter_f1_is_the_absorption_stages() -> None:
    generator = torch.Generator().manual_seed(1)
    letter = torch.randint(0, 26, (200,), generator=generator)
    predicted = torch.rand(200, 26, generator=generator) < 0.1
    predicted |= (torch.rand(200, 1, generator=generator) < 0.6) & (letter[:, None] == torch.arange(26))
    kept = torch.arange(26) % 3 > 0
    begins = letter[:, None] == torch.arange(26)
    rows = [
        {"word": f"w{i}", "letter": str(j), "kept": int(kept[j]), "begins": int(begins[i, j]),
         "predicted_k1": int(predicted[i, j]), "both_k1": int(begins[i, j] & predicted[i, j])}
        for i in range(200) for j in range(26)
    ]  # fmt: skip
    assert sums("letter_f1", rows).value() == pytest.approx(
        float(f1(predicted, begins)[kept].mean()), rel=1e-6
    )


_PROBED = [
    {"set": "topics", "class": "x", "text": 4, "right_k1": 1},
    {"set": "topics", "class": "x", "text": 7, "right_k1": 0},
    {"set": "topics", "class": "y", "text": 4, "right_k1": 1},
    {"set": "mood", "class": "1", "text": 9, "right_k1": 0},
    {"set": "mood", "class": "1", "text": 8, "right_k1": 1},
    {"set": "mood", "class": "1", "text": 3, "right_k1": 1},
]
PROBED = [row | {f"right_k{k}": row["right_k1"] for k in SECTION.k} for row in _PROBED]


def test_probing_is_the_mean_over_classes_then_sets_and_a_text_is_one_item() -> None:
    found = sums("probing", PROBED)
    assert found.value() == pytest.approx(((0.5 + 1.0) / 2 + 2 / 3) / 2)
    assert found.names == (3, 4, 7, 8, 9)
    only_k1 = [row | {f"right_k{k}": 0 for k in SECTION.k[1:]} for row in PROBED]
    assert sums("probing", only_k1).value() == pytest.approx(found.value() / len(SECTION.k))


def test_draws_are_a_loop_over_resampled_items() -> None:
    rng = np.random.default_rng(3)
    items = Sums(tuple(range(30)), rng.random((30, 2)), rng.integers(1, 3, (30, 2)) * 1.0, np.array([1.0, 3]))
    counts = np.random.default_rng(SEED).multinomial(30, np.full(30, 1 / 30), size=RESAMPLES)
    expected = []
    for row in counts:
        drawn = np.repeat(np.arange(30), row)
        ratio = items.numerator[drawn].sum(0) / items.denominator[drawn].sum(0)
        expected.append((ratio[0] + 3 * ratio[1]) / 4)
    np.testing.assert_allclose(items.draws(), expected, rtol=1e-12)


def test_a_group_that_a_resample_misses_is_left_out_of_it() -> None:
    items = Sums((0, 1), np.array([[1.0, 0], [0, 1]]), np.eye(2), np.ones(2))
    assert set(items.draws()) == {1.0}
    assert np.isnan(Sums((0,), np.zeros((1, 1)), np.zeros((1, 1)), np.ones(1)).value())
