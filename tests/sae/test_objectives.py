"""Each variant's loss terms and all their gradients against its formula, dense and in float64."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from pipeline.sae.core import sparse
from tests.sae.cases import Wide, assert_matches, case, relu_codes, squared_error


@pytest.fixture(params=[2.0, -1.0], ids=["sparse", "dense"], autouse=True)
def _path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "DENSE_ABOVE", request.param)


def largest(pre: Tensor, k: int) -> Tensor:
    """0/1: the k largest of each row."""
    return torch.zeros_like(pre).scatter(1, pre.detach().argsort(1, descending=True)[:, :k], 1.0)


def largest_of_all(pre: Tensor, count: int) -> Tensor:
    """0/1: the `count` largest of the whole matrix."""
    order = pre.detach().flatten().argsort(descending=True)[:count]
    return torch.zeros(pre.numel(), dtype=pre.dtype).scatter(0, order, 1.0).view_as(pre)


def auxiliary(w: Wide, x: Tensor, error: Tensor, dead: list[int], weight: float) -> Tensor:
    """AuxK: the d/2 largest dead pre-activations reconstruct the detached residual."""
    pre = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])[:, dead]
    z = pre.clamp_min(0) * largest(pre, min(x.shape[1] // 2, len(dead)))
    return weight * (error.detach() - z @ w["W_dec"][dead]).pow(2).sum(1).mean()


DEAD = [1, 4, 7, 12, 19]
BASES = ["l1", "batchtopk"]


def codes_on(base: str, w: Wide, x: Tensor, k: int = 3) -> Tensor:
    """f as the base selects it, dense."""
    f = relu_codes(w, x)
    return f if base == "l1" else f * largest_of_all(f, k * len(x))


def of_base(base: str, w: Wide, x: Tensor, f: Tensor, dead: list[int]) -> dict[str, Tensor]:
    """What the base adds: L1 of coefficient 0.3, or AuxK of the dead latents."""
    if base == "l1":
        return {"sparsity": 0.3 * f.sum(1).mean()}
    return {"auxk": auxiliary(w, x, x - f @ w["W_dec"] - w["b_dec"], dead, 1 / 32)} if dead else {}


def test_standard() -> None:
    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        f = relu_codes(w, x)
        return {"reconstruction": squared_error(w, x, f), "sparsity": 0.3 * f.sum(1).mean()}

    assert_matches(case("standard"), formula)


@pytest.mark.parametrize("dead", [[], [2], DEAD])
@pytest.mark.parametrize("name", ["topk", "batchtopk"])
def test_topk_and_batchtopk(name: str, dead: list[int]) -> None:
    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        f = relu_codes(w, x)
        f = f * (largest(f, 3) if name == "topk" else largest_of_all(f, 3 * len(x)))
        terms = {"reconstruction": squared_error(w, x, f)}
        if dead:
            error = x - f @ w["W_dec"] - w["b_dec"]
            terms["auxk"] = auxiliary(w, x, error, dead, 0.25)
        return terms

    assert_matches(case(name, dead=tuple(dead), aux_weight=0.25), formula)


def test_auxk_defaults_to_one_thirty_second() -> None:
    terms = [
        case("topk", dead=tuple(DEAD), **config).run()[0].terms
        for config in ({}, {"aux_weight": 1.0}, {"aux_weight": 0.0})
    ]
    assert float(terms[0]["auxk"].detach() * 32) == pytest.approx(float(terms[1]["auxk"].detach()))
    assert "auxk" not in terms[2]


@pytest.mark.parametrize("dead", [[], DEAD])
def test_matryoshka(dead: list[int]) -> None:
    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        f = relu_codes(w, x)
        f = f * largest_of_all(f, 3 * len(x))
        losses = []
        for m in (5, 10, 20):
            prefix = torch.cat([f[:, :m], torch.zeros_like(f[:, m:])], 1)
            losses.append(squared_error(w, x, prefix))
        terms = {"reconstruction": sum(losses) / 3}
        if dead:
            error = x - f @ w["W_dec"] - w["b_dec"]
            terms["auxk"] = auxiliary(w, x, error, dead, 1 / 32)
        return terms

    assert_matches(case("matryoshka", dead=tuple(dead), prefixes=[0.25, 0.5, 1.0]), formula)


@pytest.mark.parametrize("dead", [[], [0, 2, 3, 5, 8, 11]])
def test_jumprelu(dead: list[int]) -> None:
    """Straight-through gradients written as surrogates: value from one expression, slope from another."""
    root = 6**0.5
    width = 0.6 * root
    made = case(
        "jumprelu", seed=3, dead=tuple(dead), bandwidth=0.6, threshold=0.25, pre_activation_weight=0.02
    )
    with torch.no_grad():
        made.weights["threshold"][12:] = 0.05 / root  # their kernels reach below 0, where some pre lie
        assert bool(((made.step.pre[:, 12:] < 0) & (made.step.pre[:, 12:] > 0.05 - width / 2)).any())
        if dead:
            made.weights["threshold"][2] = 40.0  # silent in the whole batch
            made.weights["threshold"][3] = 50.0

    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        pre, theta = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], w["threshold"] * root
        on = (pre > theta).to(pre).detach()
        kernel = (((pre - theta) / width).abs() < 0.5).to(pre).detach()
        shift = theta - theta.detach()
        f = pre * on - (theta.detach() / width) * kernel * shift
        step_function = on - kernel / width * shift
        terms = {
            "reconstruction": squared_error(w, x, f),
            "sparsity": 0.3 * step_function.sum(1).mean(),
        }
        if dead:
            silent = [i for i in dead if on[:, i].sum() == 0]
            assert 0 < len(silent) < len(dead)
            weight = 0.02 * terms["reconstruction"].detach()
            terms["pre_activation"] = weight * (theta - pre)[:, silent].clamp_min(0).sum(1).mean()
        return terms

    assert_matches(made, formula, 4e-6)


def test_gated() -> None:
    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        c = (x - w["b_dec"]) @ w["W_enc"]
        gate = (c + w["b_gate"]).clamp_min(0)
        f = (gate > 0) * (c * w["r_mag"].exp() + w["b_mag"]).clamp_min(0)
        frozen = x - gate @ w["W_dec"].detach() - w["b_dec"].detach()
        return {
            "reconstruction": squared_error(w, x, f),
            "sparsity": 0.3 * gate.sum(1).mean(),
            "auxiliary": frozen.pow(2).sum(1).mean(),
        }

    assert_matches(case("gated"), formula)


@pytest.mark.parametrize("base", BASES)
def test_atm_masks_latents_for_the_whole_batch(base: str) -> None:
    made = case("atm", base=base, dead=tuple(DEAD))
    mask = (torch.rand(20, generator=torch.Generator().manual_seed(1)) < 0.6).float()
    made.variant.state.mask = mask

    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        f = codes_on(base, w, x) * mask.double()
        return {"reconstruction": squared_error(w, x, f)} | of_base(base, w, x, f, DEAD)

    assert_matches(made, formula)
    again = case("atm", base=base)
    again.variant.state.mask = mask
    objective, _ = again.run()
    unmasked = codes_on(base, {k: v.detach() for k, v in again.weights.items()}, again.step.x)
    torch.testing.assert_close(objective.codes.dense(), unmasked)


LAYOUT: Mapping[str, Tensor] = {
    "context": torch.tensor([0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 5, 5]),
    "document": torch.tensor([7, 7, 7, 8, 8, 8, 9, 9, 9, 9, 3, 3, 4, 6]),
    "position": torch.tensor([1, 2, 3, 4, 6, 7, 1, 2, 3, 5, 9, 10, 3, 4]),
}
NEIGHBOURS = [(0, 1), (1, 2), (4, 5), (6, 7), (7, 8), (10, 11)]


@pytest.mark.parametrize(("preset", "base"), [("ours", "l1"), ("ours", "batchtopk"), ("paper", "l1")])
def test_temporal(preset: str, base: str) -> None:
    made = case("temporal", weight=0.7, preset=preset, base=base, dead=tuple(DEAD), **LAYOUT)
    wide = {name: w.detach().double() for name, w in made.weights.items()}
    first = float(squared_error(wide, made.step.x.double(), codes_on(base, wide, made.step.x.double())))
    beta = 0.8 * first if preset == "ours" else first + 9  # alpha 0.22 and, printed, 1
    made.variant.state.beta = torch.tensor(beta, dtype=torch.float32)

    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        f = codes_on(base, w, x)
        loss = squared_error(w, x, f)
        now = 0.99 * beta + 0.01 * loss.detach()
        if preset == "ours":
            weight, alpha = 0.7, 1 / (1 + torch.exp(-5 * (now - loss.detach()) / now))
            assert 0.02 < alpha < 0.98
        else:
            weight, alpha = 1e-4, 1 / (1 + torch.exp(-5 * (now - loss.detach())))
        change = sum((f[b, i] - f[a, i]) ** 2 for a, b in NEIGHBOURS for i in range(f.shape[1]))
        return {
            "reconstruction": loss,
            **of_base(base, w, x, f, DEAD),
            "temporal": weight * alpha * change / len(NEIGHBOURS),
        }

    assert_matches(made, formula, 3e-6)


def naive_consistency(f: Tensor, scales: list[float], printed: bool) -> Tensor:
    """A loop over offsets and pairs of rows; latent weights from each context's rows."""
    context, document, position = (LAYOUT[key].tolist() for key in ("context", "document", "position"))
    weights = {}
    for c in set(context):
        rows = f.detach()[[r for r in range(len(f)) if context[r] == c]]
        variance = ((rows - rows.mean(0)) ** 2).mean(0)
        variance = torch.where(variance < 0.01, 0.0, variance)
        kept = (variance > 0).sum()
        weights[c] = variance / variance.sum() * (1 if printed else kept) if kept else variance
    total = torch.zeros((), dtype=f.dtype)
    for scale, (low, high) in zip(scales, ((1, 3), (4, 15), (16, 127)), strict=True):
        for offset in range(low, high + 1):
            found = []
            for s in range(len(f)):
                for t in range(len(f)):
                    if (
                        context[s] == context[t]
                        and document[s] == document[t]
                        and position[t] - position[s] == offset
                    ):
                        w = weights[context[s]]
                        difference = (w * (f[t] - f[s]) ** 2).sum()
                        size = (w * f[t] ** 2).sum() + (w * f[s] ** 2).sum()
                        if printed:
                            found.append(difference)
                        elif size > 0:
                            found.append(difference / size)
                        else:
                            found.append(difference * 0)
            if found:
                total = total + scale * torch.stack(found).mean()
    return total  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "index", "base"),
    [("ours", 5, "l1"), ("ours", 15, "l1"), ("ours", 60, "l1"), ("ours", 60, "batchtopk"),
     ("paper", 1500, "l1")],
)  # fmt: skip
def test_tsae(preset: str, index: int, base: str) -> None:
    scales = [0.7, 0.4, 0.2]
    made = case(
        "tsae", index=index, steps=100, preset=preset, weight=1.5, scales=scales, base=base,
        dead=tuple(DEAD), l0=5, **LAYOUT,
    )  # fmt: skip
    boost, ramp = {5: (2, 0.25), 15: (1.5, 0.75), 60: (1, 1), 1500: (1.5, 0.75)}[index]

    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        f = codes_on(base, w, x, 5)
        return {
            "reconstruction": boost * squared_error(w, x, f),
            **of_base(base, w, x, f, DEAD),
            "temporal": 1.5 * ramp * naive_consistency(f, scales, preset == "paper"),
        }

    assert_matches(made, formula, 4e-6)


@pytest.mark.parametrize(("dead", "base"), [([], "batchtopk"), (DEAD, "batchtopk"), (DEAD, "l1")])
def test_contrastive(dead: list[int], base: str) -> None:
    def formula(w: Wide, x: Tensor) -> dict[str, Tensor]:
        f = codes_on(base, w, x, 5)
        z = f[:, :8]
        inner = torch.cat([z, torch.zeros_like(f[:, 8:])], 1)
        losses = []
        for a, b in NEIGHBOURS:  # the positive comes first
            row = torch.stack([z[b] @ z[other] for other, _ in NEIGHBOURS])
            column = torch.stack([z[other] @ z[a] for _, other in NEIGHBOURS])
            losses += [row.logsumexp(0) - z[b] @ z[a], column.logsumexp(0) - z[b] @ z[a]]
        terms = {
            "reconstruction": 0.3 * squared_error(w, x, inner) + 0.9 * squared_error(w, x, f),
            "contrastive": 0.7 * sum(losses) / len(losses),
        }
        return terms | of_base(base, w, x, f, dead)

    made = case(
        "contrastive", dead=tuple(dead), l0=5, high=0.4, prefix_weights=[0.3, 0.9], weight=0.7, base=base,
        **LAYOUT,
    )  # fmt: skip
    assert_matches(made, formula)


def test_codes_and_error_carry_no_graph() -> None:
    for name in (
        "standard",
        "topk",
        "batchtopk",
        "jumprelu",
        "gated",
        "matryoshka",
        "atm",
        "temporal",
        "tsae",
        "contrastive",
    ):
        objective, _ = case(name).run()
        assert not objective.error.requires_grad, name
        assert not objective.codes.value.requires_grad, name
        assert bool((objective.codes.value > 0).all()), name
