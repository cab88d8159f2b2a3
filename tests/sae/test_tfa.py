"""tfa: its objective against the dense formula, what is off, what is saved, what it learns of the past."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.sae.core.attention import Attention
from pipeline.sae.tfa import Method
from pipeline.store import Store
from pipeline.store.past import past
from pipeline.training.job import Job
from pipeline.training.run import train
from pipeline.training.validation import validate, validation_rows
from tests.sae.attending import plain_codes
from tests.sae.cases import Case, Wide, assert_matches, case, relu_codes, squared_error
from tests.training import toy

LAYOUT: dict[str, Tensor] = {
    "context": torch.tensor([0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 5, 5]),
    "document": torch.tensor([7, 7, 7, 8, 8, 8, 9, 9, 9, 9, 3, 3, 4, 6]),
    "position": torch.tensor([1, 2, 3, 4, 5, 6, 1, 2, 3, 5, 9, 10, 3, 4]),
}
BEFORE = [[], [0], [0, 1], [], [3], [3, 4], [], [6], [6, 7], [], [], [10], [], []]
DEAD = [1, 4, 7, 12, 19]
STEPS: dict[str, Any] = {"tokens": 80 * 64, "dead_tokens": 256}


def made(**values: Any) -> Case:
    """A step of 14 tokens whose attention is strong enough to matter."""
    sizes = {"heads": 2, "key": 3, "width": 0.4, "attention_rate": 0.5}
    one, g = case("tfa", l0=5, **sizes, **LAYOUT, **values), torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name in one.variant.parameters(g):
            one.weights[name].copy_(torch.randn(one.weights[name].shape, generator=g))
    return one


def suggested(w: Wide, z: Tensor) -> Tensor:
    """p of each token, head by head, at the attention's rate 0.5."""
    a = {name: 0.5 * w[name] for name in w if name[2:] in ("q", "k", "v", "o")}
    rows = []
    for t, before in enumerate(BEFORE):
        context = torch.cat([torch.zeros_like(z[:1]), z[before]])
        mixed = []
        for head in range(2):
            q, k, v = (
                (each @ a[f"W_{name}"] + a.get(f"b_{name}", 0.0)).chunk(2, -1)[head]
                for name, each in (("q", z[t]), ("k", context), ("v", context))
            )
            mixed.append((k @ q / 3**0.5).softmax(0) @ v)
        rows.append((torch.cat(mixed) @ a["W_o"] + a["b_o"]).clamp_min(0))
    return torch.stack(rows)


def largest(p: Tensor, k: int) -> Tensor:
    return torch.zeros_like(p).scatter(1, p.detach().argsort(1, descending=True)[:, :k], 1.0)


@pytest.mark.parametrize("predictable", ["topk", "dense"])
@pytest.mark.parametrize("dead", [[], DEAD])
def test_objective(predictable: str, dead: list[int]) -> None:
    one = made(predictable=predictable, share=0.4, dead=tuple(dead), aux_weight=0.25)
    with torch.no_grad():
        sae = one.variant.export(one.weights)
        where = past(*(LAYOUT[name] for name in ("context", "document", "position")))
        parts = plain_codes(sae, one.step.x.double().numpy(), where.numpy())
    chosen = torch.from_numpy(parts[1] > 0)
    assert 0.2 < (parts[0].sum(1) > 0).mean() < 0.9
    assert ((parts[0] > 0) & (parts[1] > 0)).any()

    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        p = suggested(w, relu_codes(w, x))
        if predictable == "topk":
            p = p * largest(p, 2)
        along = p @ w["W_dec"]
        size = ((x - w["b_dec"]) * along).sum(1) / along.pow(2).sum(1).clamp_min(1e-12)
        size = size.clamp_min(0)[:, None]
        left = x - size * along
        pre = (left - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
        f = size * p + pre * chosen
        terms = {"reconstruction": squared_error(w, x, f)}
        if dead:
            error = (x - f @ w["W_dec"] - w["b_dec"]).detach()
            pre = ((left.detach() - w["b_dec"]) @ w["W_enc"] + w["b_enc"])[:, dead]
            z = pre.clamp_min(0) * largest(pre, 3)
            terms["auxk"] = 0.25 * (error - z @ w["W_dec"][dead]).pow(2).sum(1).mean()
        return terms

    assert_matches(one, formula, 1e-5)


def test_codes_are_those_of_inference() -> None:
    one = made()
    objective, _ = one.run()
    found = one.variant.export(one.weights).encode(one.step.x, past(*LAYOUT.values()))
    torch.testing.assert_close(found.dense(), objective.codes.dense())
    assert not objective.codes.value.requires_grad
    assert not objective.error.requires_grad


def test_without_a_predictable_part_it_is_topk_bit_for_bit() -> None:
    [off] = toy.trained("tfa", control="no_context", **STEPS)
    [plain] = toy.trained("topk", control="contexts", **STEPS)
    assert off.sae.architecture == "topk"
    for name, value in vars(plain.sae).items():
        same = torch.equal(value, getattr(off.sae, name)) if isinstance(value, Tensor) else True
        assert same, name
    assert (off.run.l0, off.run.reading) == (plain.run.l0, "contexts")


def test_a_dense_predictable_part_counts_all_its_codes() -> None:
    [one] = toy.trained("tfa", control="dense", **STEPS)
    assert one.run.l0 > 6
    assert one.run.on_target is False


@pytest.mark.parametrize(("l0", "share", "kept"), [(1, 0.25, 1), (8, 0.25, 2), (32, 0.25, 8), (5, 0.9, 4)])
def test_the_share_of_the_budget(l0: int, share: float, kept: int) -> None:
    variant = case("tfa", l0=l0, share=share).variant
    assert isinstance(variant, Method)
    assert variant.kept == kept


@pytest.mark.parametrize(("n", "heads", "width"), [(20, 4, 1.0), (20, 3, 0.5), (2, 4, 0.25)])
def test_shapes_for_any_dictionary(n: int, heads: int, width: float) -> None:
    one = case("tfa", n=n, l0=2, heads=heads, width=width)
    objective, gradients = one.run()
    attention = one.variant.attention(one.weights)
    assert isinstance(attention, Attention)
    assert gradients.keys() == one.weights.keys()
    assert objective.codes.l0() <= 2


def test_the_attention_learns_at_its_own_rate() -> None:
    """One step of Adam moves each entry by the rate, of the attention by its share of it."""
    one, reader = toy.trainer("tfa", {"attention_rate": 0.25, "predictable": "dense"}, steps=60)
    assert isinstance(one.variant, Method)
    before = {name: w.clone() for name, w in one.variant.attention(one.weights).tensors().items()}
    start = one.weights["b_enc"].detach().clone()
    one.step(reader.next())
    after = one.variant.attention(one.weights).tensors()
    encoder = (one.weights["b_enc"].detach() - start).abs().max()
    moved = (after["W_o"] - before["W_o"]).detach().abs().max()
    assert float(moved) == pytest.approx(0.25 * float(encoder), rel=0.02)


def learnt(source: Store, predictable: str, control: str | None) -> tuple[float, float]:
    """Explained variance of validation tokens in their documents, and of the same tokens each by itself."""
    section = toy.section(n=32, l0=[2], tokens=400 * 64, lr=1e-2)
    job = Job.of("tfa", {"predictable": predictable, "share": 0.5}, 1, control)
    [one] = train(job, section, source, torch.device("cpu"))
    rows = validation_rows(source, 1024)
    apart = replace(rows, position=2 * rows.position)
    return tuple(validate(one.sae, each).explained_variance for each in (rows, apart))  # type: ignore[return-value]


def test_a_part_that_costs_nothing_takes_what_lasts_from_the_tokens_before() -> None:
    """Features that last for a document, two novel codes: more than its twin, which is more than none."""
    source = toy.flickering()
    own, twin, none = (learnt(source, "dense", each) for each in (None, "shuffled", "no_context"))
    assert own[0] > twin[0] + 0.08
    assert twin[0] > none[0] + 0.05
    assert own[0] > own[1] + 0.2
    assert none[0] == none[1]


def test_a_part_that_costs_its_codes_reads_the_tokens_before_too() -> None:
    own = learnt(toy.flickering(), "topk", None)
    assert own[0] > own[1] + 0.03
