"""Codes in two parts against plain loops; what may be read; the budget; folding; the folder on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.sae.core.attention import Documents
from pipeline.sae.core.folder import load_sae, save_sae
from pipeline.sae.core.inference import ALL
from tests.sae.attending import D, K, N, attending, plain_codes

RUNS = [1, 7, 2, 3, 11]
PAST = torch.cat([torch.arange(length) for length in RUNS])
X = 2 * torch.randn(len(PAST), D, generator=torch.Generator().manual_seed(3)) + 0.5


@pytest.mark.parametrize("kept", [1, 2, 5, K, None])
def test_against_plain_loops(kept: int | None) -> None:
    made = attending(1, kept)
    predictable, novel = plain_codes(made, X.double().numpy(), PAST.numpy())
    assert (predictable.sum(1) > 0).mean() > 0.2  # else little is tested
    assert ((predictable > 0) & (novel > 0)).any()
    codes = made.encode(X, PAST)
    np.testing.assert_allclose(codes.dense(), predictable + novel, atol=2e-4)
    back = (predictable + novel) @ made.W_dec.double().numpy() + made.b_dec.double().numpy()
    np.testing.assert_allclose(made.reconstruct(X, PAST), back, atol=5e-4)


def test_every_active_code_counts() -> None:
    """Of both parts together k per token, also where the token turns what is predicted down; dense: all."""
    made = attending(1)
    predictable, _ = plain_codes(made, X.double().numpy(), PAST.numpy())
    turned_down = torch.from_numpy(predictable.sum(1) == 0)
    count = (made.encode(X, PAST).dense() > 0).sum(1)
    room = (made.pre(X) > 0).sum(1) > K
    assert turned_down.any()
    assert room.any()
    assert (count <= K).all()
    assert (count[turned_down & room] == K).all()
    dense = replace(made, attention=attending(1, None).attention)
    assert dense.encode(X, PAST).l0() > K


def test_a_later_token_changes_no_earlier_code() -> None:
    made, last = attending(kept=None), len(X) - 1
    codes = made.encode(X, PAST).dense()
    for row in (2, 12, last):
        other = X.clone()
        other[row] += 1
        changed = made.encode(other, PAST).dense()
        assert torch.equal(changed[:row], codes[:row])
        assert not torch.equal(changed[row], codes[row])
    other = X.clone()
    other[last - 8] += 3
    assert not torch.equal(made.encode(other, PAST).dense()[last - 7 :], codes[last - 7 :])


def test_what_is_suggested_comes_from_other_tokens() -> None:
    """The token's own code enters as the query and not otherwise."""
    attention, documents = attending(kept=None).attention, Documents.of(PAST)
    assert attention is not None
    blind = replace(attention, W_q=torch.zeros_like(attention.W_q))
    z = torch.rand(len(PAST), N, generator=torch.Generator().manual_seed(5))
    other = z.clone()
    other[7] += 1  # the last of its run
    assert torch.equal(blind.predict(other, documents)[7], blind.predict(z, documents)[7])
    assert not torch.equal(attention.predict(other, documents)[7], attention.predict(z, documents)[7])


def test_documents_encoded_together_are_documents_encoded_apart() -> None:
    made = attending()
    together = made.encode(X, PAST).dense()
    apart = [made.encode(x, torch.arange(len(x))).dense() for x in X.split(RUNS)]
    torch.testing.assert_close(together, torch.cat(apart), atol=2e-5, rtol=1e-5)
    assert not torch.allclose(together, made.encode(X, torch.zeros_like(PAST)).dense())


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows(rows: int) -> None:
    codes = attending().encode(X[:rows], torch.arange(rows))
    assert codes.dense().shape == (rows, N)
    assert codes.pairs.batch == rows


def test_who_reads_all_must_say_where_rows_stand() -> None:
    assert attending().context == ALL
    with pytest.raises(ValueError, match="all earlier tokens"):
        attending().encode(X)


@pytest.mark.parametrize("scale", [0.03, 17.0])
def test_folding(scale: float) -> None:
    made = attending()
    expected = made.encode(X, PAST).dense()
    found = made.scaled(scale).encode(X / scale, PAST).dense() * scale
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kept", [2, None])
def test_round_trip(tmp_path: Path, kept: int | None) -> None:
    made = attending(kept=kept)
    save_sae(tmp_path, made, {"layer": 3})
    loaded, cfg = load_sae(tmp_path)
    assert torch.equal(loaded.encode(X, PAST).dense(), made.encode(X, PAST).dense())
    assert (cfg["architecture"], cfg["heads"], cfg["kept"], cfg["k"]) == ("tfa", 2, kept, K)
