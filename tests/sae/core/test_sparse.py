"""The sparse step's gradients against dense autograd in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.sae.core import sparse
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.sparse import decode, encode_at, row_dots
from pipeline.sae.method.batch_topk import batch_topk
from tests.sae.cases import relative

B, D, N = 33, 16, 48


def tensors(seed: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = {"W_enc": (N, D), "W_dec": (N, D), "b_enc": (N,), "b_dec": (D,)}
    return {name: torch.randn(*shape, generator=g) for name, shape in shapes.items()}


def masks() -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(9)
    sparse_mask = torch.rand(B, N, generator=g) < 0.06
    sparse_mask[:, 5], sparse_mask[7] = False, False  # a latent that never fires, a silent token
    return {
        "sparse": sparse_mask,
        "half": torch.rand(B, N, generator=g) < 0.5,
        "all": torch.ones(B, N, dtype=torch.bool),
        "none": torch.zeros(B, N, dtype=torch.bool),
        "one entry": torch.zeros(B, N, dtype=torch.bool).index_put((torch.tensor(3), torch.tensor(4)),
                                                                   torch.tensor(True)),
    }  # fmt: skip


@pytest.mark.parametrize("dense_above", [2.0, -1.0, 0.2], ids=["sparse", "dense", "by density"])
@pytest.mark.parametrize("mask", masks())
def test_step_equals_the_dense_one(monkeypatch: pytest.MonkeyPatch, mask: str, dense_above: float) -> None:
    monkeypatch.setattr(sparse, "DENSE_ABOVE", dense_above)
    active = masks()[mask]
    x = torch.randn(B, D, generator=torch.Generator().manual_seed(1)) + 2
    w = {name: t.clone() for name, t in tensors(0).items()}
    w["W_enc"] = w["W_enc"].T
    wide = {name: t.double().requires_grad_() for name, t in w.items()}
    w = {name: t.requires_grad_() for name, t in w.items()}

    pairs = Pairs.where(active)
    bias = w["b_enc"] - w["b_dec"] @ w["W_enc"]
    with torch.no_grad():
        pre = x @ w["W_enc"] + bias
    value = encode_at(x, w["W_enc"], bias, pre, pairs)
    value.retain_grad()
    out = decode(value.sin(), w["W_dec"], pairs) + w["b_dec"]
    (out * (out + x)).sum().backward()

    x64, mask64 = x.double(), active.double()
    value64 = (x64 - wide["b_dec"]) @ wide["W_enc"] + wide["b_enc"]
    value64.retain_grad()
    out64 = (value64.sin() * mask64) @ wide["W_dec"] + wide["b_dec"]
    (out64 * (out64 + x64)).sum().backward()

    assert relative(out.detach(), out64.detach()) < 2e-6
    assert value.grad is not None
    assert value64.grad is not None
    assert relative(value.grad, value64.grad[active]) < 4e-6
    for name in w:
        assert w[name].grad is not None
        assert relative(w[name].grad, wide[name].grad) < 2e-6, name


def test_density_chooses_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(sparse, "embedding_bag", lambda *a, **k: taken.append("bag") or torch.zeros(B, D))
    for mask in ("sparse", "half"):
        pairs = Pairs.where(masks()[mask])
        decode(torch.ones(len(pairs)), torch.zeros(N, D), pairs)
        taken.append(mask)
    assert taken == ["bag", "sparse", "half"]


def test_no_gradient_where_none_is_wanted() -> None:
    pairs = Pairs.where(masks()["sparse"])
    value = torch.rand(len(pairs), requires_grad=True)
    table = tensors(0)["W_dec"]
    decode(value, table, pairs).sum().backward()
    assert value.grad is not None
    assert relative(value.grad, table.double().sum(1)[pairs.latent]) < 2e-6


def test_row_dots() -> None:
    pairs = Pairs.where(masks()["half"])
    g, table = torch.randn(B, D), tensors(0)["W_dec"]
    expected = (g.double() @ table.double().T)[pairs.token, pairs.latent]
    assert relative(row_dots(g, table, pairs), expected) < 2e-6
    nothing = Pairs.where(masks()["none"])
    assert row_dots(g, table, nothing).shape == (0,)


@pytest.mark.parametrize("count", [1, 40, 700, 5000])
def test_batch_top_takes_the_largest_positive_entries(count: int) -> None:
    pre = torch.randn(B, N, generator=torch.Generator().manual_seed(count)) - 0.5
    pairs = batch_topk(pre, count)
    ranked = sorted(((float(v), divmod(i, N)) for i, v in enumerate(pre.flatten()) if v > 0), reverse=True)
    expected = sorted(place for _, place in ranked[:count])
    assert [*zip(pairs.token.tolist(), pairs.latent.tolist(), strict=True)] == expected
