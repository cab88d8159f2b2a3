"""What activations carry, on rows whose make is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.lm.signals import Split, measure, participation_ratio
from pipeline.text.states import Field, States

WIDTH, D = 60, 12
FIELDS = [Field("topic", 3, "slow"), Field("odd", 2, "token")]


def split(contexts: int, seed: int, token: float = 0.0, document: float = 0.0, position: float = 0.0,
          noise: float = 1.0) -> Split:  # fmt: skip
    """Rows that are a vector per token, per topic of the document, per position, and noise, so weighted."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    words, topics, places = (fixed.standard_normal((n, D)) for n in (20, 3, WIDTH))
    tokens = rng.integers(20, size=(contexts, WIDTH))
    owner = np.arange(contexts)[:, None] * 2 + (np.arange(WIDTH) >= 30)  # two documents in a context
    topic = rng.integers(3, size=2 * contexts)[owner]
    x = token * words[tokens] + document * topics[topic] + position * places + noise * rng.standard_normal((
        contexts, WIDTH, D))  # fmt: skip
    labels = States(FIELDS, np.stack([topic, tokens % 2], -1).astype(np.int16))
    return Split(torch.tensor(x).float(), tokens, owner, np.ones_like(tokens, dtype=bool), labels)


def report(reference: float = 0.9, **weights: float) -> dict[str, Any]:
    return measure(split(120, 0, **weights), split(60, 1, **weights), {"topic": reference})


@pytest.mark.parametrize("part", ["token", "document", "position"])
def test_each_share_sees_its_own_part(part: str) -> None:
    found = report(**{part: 1.0})
    shares = {name: found[f"{name}_share"] for name in ("token", "document", "position")}
    assert shares.pop(part) == pytest.approx(0.5, abs=0.15)
    assert max(shares.values()) < 0.1


def test_pure_noise_has_no_share_and_no_memory() -> None:
    found = report()
    assert max(found[f"{name}_share"] for name in ("token", "document", "position")) < 0.03
    assert abs(found["autocorrelation"]["1"]) < 0.05
    assert found["participation_ratio"] == pytest.approx(D, rel=0.05)


def test_autocorrelation_stays_within_documents() -> None:
    found = report(document=1.0)
    assert found["autocorrelation"]["10"] == pytest.approx(found["autocorrelation"]["1"], abs=0.1)
    assert found["autocorrelation"]["10"] > 0.3
    assert found["autocorrelation"]["100"] is None  # no two tokens of a context are so far apart


def test_participation_ratio_counts_equal_directions() -> None:
    x = torch.zeros(4000, 10)
    x[:, :3] = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    assert participation_ratio(x) == pytest.approx(3, rel=0.05)


def test_states_are_told_where_they_are_and_their_ratio_is_above_chance() -> None:
    here, absent = report(document=3.0), report()
    slow, own = here["states"]
    assert (slow["name"], slow["kind"], slow["values"], own["reference"], own["ratio"]) == (
        "topic", "slow", 3, None, None,
    )  # fmt: skip
    assert slow["accuracy"] > 0.9
    assert slow["ratio"] == pytest.approx((slow["accuracy"] - slow["chance"]) / (0.9 - slow["chance"]))
    assert absent["states"][0]["accuracy"] < absent["states"][0]["chance"] + 0.1
    assert report(reference=0.1)["states"][0]["ratio"] is None  # a filter below chance is no reference


def test_rows_that_do_not_count_are_left_out() -> None:
    train, test = split(50, 0), split(30, 1)
    plain = measure(train, test, {})
    for each in (train, test):
        each.real[:, 10:20] = False
    cut = measure(train, test, {})
    train.x[:, 10:20] = test.x[:, 10:20] = 1000.0
    assert measure(train, test, {}) == cut
    assert cut["test_tokens"] == plain["test_tokens"] - 300


def test_text_without_labels_has_no_states() -> None:
    train, test = (Split(s.x, s.tokens, s.document, s.real, None) for s in (split(20, 0), split(20, 1)))
    assert measure(train, test, {})["states"] == []
