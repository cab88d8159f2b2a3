"""Codes of windows against plain loops; what a run is; folding; the folder on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.sae.core.folder import load_sae, save_sae
from pipeline.store.past import past
from tests.sae import windows
from tests.sae.core.test_inference import sae as row_sae
from tests.sae.windows import D, windowed

RUNS = [1, 7, 2, 3, 11]
PAST = torch.cat([torch.arange(length) for length in RUNS])
X = torch.randn(len(PAST), D, generator=torch.Generator().manual_seed(3)) + 0.5


@pytest.mark.parametrize(("tokens", "groups"), [(2, 1), (3, 1), (3, 3), (9, 2), (40, 1)])
def test_against_plain_loops(tokens: int, groups: int) -> None:
    made = windowed(1, tokens, groups)
    expected = windows.plain_codes(made, X.double().numpy(), PAST.numpy())
    codes = made.encode(X, PAST)
    np.testing.assert_allclose(codes.dense(), expected, atol=5e-5)
    assert codes.l0() == (expected > 0).sum() / len(X)
    back = expected @ made.W_dec.double().numpy() + made.b_dec.double().numpy()
    np.testing.assert_allclose(made.reconstruct(X, PAST), back, atol=2e-4)


def test_a_code_reads_its_own_run_alone() -> None:
    """Runs encoded together are the runs encoded each by itself."""
    made = windowed()
    together = made.encode(X, PAST).dense()
    apart = [made.encode(x, torch.arange(len(x))).dense() for x in X.split(RUNS)]
    torch.testing.assert_close(together, torch.cat(apart))
    assert not torch.allclose(together, made.encode(X, torch.zeros_like(PAST)).dense())


def test_a_window_of_one_token_is_topk_to_the_bit() -> None:
    made = windowed(tokens=1)
    plain = replace(made, architecture="topk", window=None)
    assert torch.equal(made.encode(X, PAST).dense(), plain.encode(X).dense())
    assert torch.equal(made.encode(X).dense(), plain.encode(X).dense())
    assert (made.context, made.stride, plain.context, plain.stride) == (1, 1, 1, 1)


def test_who_reads_a_window_must_say_where_rows_stand() -> None:
    with pytest.raises(ValueError, match="3 tokens"):
        windowed().encode(X)


def test_row_by_row_saes_do_not_look_at_the_past() -> None:
    made = row_sae("gated")
    x = torch.randn(30, made.d, generator=torch.Generator().manual_seed(4))
    assert torch.equal(made.encode(x, torch.arange(30)).dense(), made.encode(x).dense())
    assert made.context == 1


def test_late_codes_are_those_of_the_token_before() -> None:
    own = replace(windowed(tokens=1), architecture="topk", window=None)
    found, expected = windows.late(own).encode(X, PAST).dense(), own.encode(X).dense()
    inside = PAST > 0
    torch.testing.assert_close(found[inside], expected[inside.roll(-1)], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("scale", [0.03, 17.0])
def test_folding(scale: float) -> None:
    made = windowed(groups=3)
    folded = made.scaled(scale)
    expected = made.encode(X, PAST).dense()
    torch.testing.assert_close(folded.encode(X / scale, PAST).dense() * scale, expected, atol=5e-5, rtol=1e-4)


def test_past_of_rows_with_gaps() -> None:
    context = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
    document = torch.tensor([4, 4, 4, 5, 5, 5, 5, 5])
    position = torch.tensor([0, 1, 3, 4, 5, 0, 1, 2])
    assert past(context, document, position).tolist() == [0, 1, 0, 0, 1, 0, 1, 2]
    assert len(past(context[:0], document[:0], position[:0])) == 0


@pytest.mark.parametrize("groups", [1, 3])
def test_round_trip(tmp_path: Path, groups: int) -> None:
    made = windowed(groups=groups)
    save_sae(tmp_path, made, {"layer": 3})
    loaded, cfg = load_sae(tmp_path)
    assert torch.equal(loaded.encode(X, PAST).dense(), made.encode(X, PAST).dense())
    assert made.window is not None
    assert loaded.window is not None
    for name, tensor in made.window.tensors().items():
        assert torch.equal(loaded.window.tensors()[name], tensor), name
    assert (cfg["architecture"], cfg["window"], cfg["groups"], cfg["k"]) == ("window", 3, groups, 2)
