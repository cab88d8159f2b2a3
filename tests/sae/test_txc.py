"""txc: topk at one token to the bit, its formula written window by window, its export, its controls."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.store import Batch
from pipeline.training.trainer import Trainer
from tests.sae.cases import assert_matches, case
from tests.training import toy

T = 4


def stepped(
    variant: str, values: dict[str, Any] | None = None, steps: int = 40, **sizes: Any
) -> tuple[Trainer, list[dict[str, float]], Batch]:
    """After some steps: the trainer, the figures of each, and the next batch."""
    one, reader = toy.trainer(variant, values, steps, **{"dead_tokens": 256, "lr": 1e-2, **sizes})
    figures = []
    for _ in range(steps):
        one.step(reader.next())
        figures.append(one.figures)
    return one, figures, reader.next()


@pytest.mark.parametrize("values", [{}, {"stacked": True}, {"budget": "window"}])
def test_one_token_is_topk_bit_for_bit(values: dict[str, Any]) -> None:
    """Losses, weights, Adam's state and codes, with dead latents on the way."""
    plain, expected, batch = stepped("topk")
    one, found, same_batch = stepped("txc", {"window": 1, **values})
    assert torch.equal(batch.x, same_batch.x)
    assert found == expected
    assert any("auxk" in each for each in found)
    ours, theirs = one.tensors(), plain.tensors()
    theirs = {name: each for name, each in theirs.items() if not name.startswith("state.")}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in theirs.items())
    codes = [each.export().encode(batch.x).dense() for each in (one, plain)]
    assert torch.equal(*codes)
    assert one.export().architecture == "topk"


def test_whole_runs_of_one_token_are_topk_s() -> None:
    sizes = {"l0": [2, 5], "dead_tokens": 256}
    for a, b in zip(toy.trained("txc", {"window": 1}, **sizes), toy.trained("topk", **sizes), strict=True):
        assert a.log == b.log
        assert all(torch.equal(getattr(a.sae, name), getattr(b.sae, name)) for name in ("W_enc", "W_dec"))
        assert (a.run.l0, a.run.target) == (b.run.l0, b.run.target)


def wide_terms(w: dict[str, Tensor], x: Tensor, k: int, dead: Tensor, aux: float) -> dict[str, Tensor]:
    """Windows `x` (B, T, d), token by token, dense, in float64."""
    count, tokens, d = x.shape
    W_enc, b = w["W_enc"].view(tokens, d, -1), w["b_dec"].view(tokens, d)
    W_dec = [w["W_dec"][:, t * d : (t + 1) * d] for t in range(tokens)]
    pre = w["b_enc"] + sum((x[:, t] - b[t]) @ W_enc[t] for t in range(tokens))

    def of_largest(score: Tensor, largest: int) -> Tensor:
        kept = torch.zeros_like(score).scatter_(1, score.topk(largest, dim=1).indices, 1.0)
        return (kept * score).clamp_min(0)

    z = of_largest(pre, k)
    errors = torch.stack([x[:, t] - z @ W_dec[t] - b[t] for t in range(tokens)], 1)
    of_dead = torch.full_like(pre, -1e9)
    of_dead[:, dead] = pre[:, dead]
    z_dead = of_largest(of_dead, min(tokens * d // 2, int(dead.sum())))
    left = torch.stack([errors[:, t].detach() - z_dead @ W_dec[t] for t in range(tokens)], 1)
    scale = 1 / (count * tokens)
    return {
        "reconstruction": scale * errors.square().sum(),
        "auxk": aux * scale * left.square().sum(),
    }


@pytest.mark.parametrize(("window", "batch"), [(1, 64), (2, 64), (4, 64), (7, 7), (4, 4)])
def test_objective_and_gradients_equal_the_formula(window: int, batch: int) -> None:
    """One window of seven tokens and one of four are the edges of the sizes."""
    made = case("txc", batch=batch // window, n=40, dead=tuple(range(11)), window=window, aux_weight=0.3)

    def formula(w: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        return wide_terms(w, x.view(len(x), window, -1), 3 * window, made.step.dead, 0.3)

    assert_matches(made, formula, 5e-6)


@pytest.mark.parametrize("batch", [4, 32])
def test_a_stack_equals_the_formula_of_its_positions(batch: int) -> None:
    """Each position's tokens in their own 20 latents."""
    made = case("txc", batch=batch, dead=(1, 2, 25, 70), window=T, stacked=True, aux_weight=0.3)

    def formula(w: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        terms = []
        for position in range(T):
            own = slice(20 * position, 20 * (position + 1))
            part = {"W_enc": w["W_enc"][:, own], "W_dec": w["W_dec"][own], "b_enc": w["b_enc"][own]}
            tokens = x[position::T].unsqueeze(1)
            terms.append(wide_terms({**part, "b_dec": w["b_dec"]}, tokens, 3, made.step.dead[own], 0.3))
        return {name: torch.stack([each[name] for each in terms]).mean() for name in terms[0]}

    assert_matches(made, formula, 5e-6)


@pytest.mark.parametrize("values", [{}, {"budget": "window"}, {"stacked": True}])
def test_the_export_is_what_training_computes(values: dict[str, Any]) -> None:
    """The code of a window's last token, and, side by side, all its reconstructions."""
    d, joined = 6, 1 if "stacked" in values else T
    made = case("txc", batch=32 // joined, n=30, window=T, **values)
    objective, sae = made.variant.objective(made.step), made.variant.export(made.weights)
    assert (sae.context, sae.stride) == (T, T)
    # each window a run of its own: its last token has the whole window's code
    x = made.step.x.view(-1, d)
    codes = sae.encode(x, torch.arange(len(x)) % T).dense()[T - 1 :: T]
    trained = objective.codes.dense().view(-1, T // joined, sae.n).sum(1)
    torch.testing.assert_close(codes, trained, atol=1e-4, rtol=1e-4)
    assert sae.window is not None
    decoders, means = [sae.W_dec, *sae.window.W_dec], [sae.b_dec, *sae.window.b_dec]
    back = torch.stack([codes @ W + b for W, b in zip(decoders, means, strict=True)], 1).flip(1)
    error = (x.view(-1, T, d) - back).flatten()
    torch.testing.assert_close(error, objective.error.flatten(), atol=1e-3, rtol=1e-3)


def test_l0_is_k_per_token_of_a_window() -> None:
    [one] = toy.trained("txc", tokens=150 * 64)
    [window] = toy.trained("txc", control="window_l0", tokens=150 * 64)
    [stack] = toy.trained("txc", control="stacked", tokens=150 * 64)
    assert one.run.l0 == pytest.approx(3, abs=0.2)
    assert window.run.l0 == pytest.approx(3, abs=0.1)
    assert [each.run.on_target for each in (one, window)] == [True, True]
    # documents of eight tokens: three in eight have no whole window, and an absent token hardly fires
    assert 2.3 < stack.run.l0 <= 3
    assert [each.sae.k for each in (one, window, stack)] == [12, 3, 3]
    assert (stack.sae.n, one.sae.n) == (48 * T, 48)
    assert [each.log[-1]["l0"] for each in (one, window, stack)] == pytest.approx([3, 3, 3], rel=0.1)


@pytest.mark.parametrize("budget", ["total", "window"])
@pytest.mark.parametrize("stacked", [False, True])
def test_the_logged_l0_is_that_of_the_codes(budget: str, stacked: bool) -> None:
    """Of whole windows, as the target counts; every control is one of these."""
    values = {"budget": budget, "stacked": stacked}
    one, reader = toy.trainer("txc", values, l0=[4], lr=1e-30)  # weights stay what they are
    batch = reader.next()
    one.step(batch)
    codes = one.export().encode(batch.x, torch.arange(len(batch.x)) % T).dense()[T - 1 :: T]
    found = float((codes > 0).sum()) / len(codes)
    assert found == pytest.approx(4 if budget == "window" else 4 * T, rel=0.15)
    assert one.figures["l0"] * (1 if budget == "window" else T) == pytest.approx(found, rel=1e-3)


def test_positions_of_a_stack_are_apart() -> None:
    """Each latent reads and writes one position; each group has k active at a token deep in its document."""
    sae = stepped("txc", {"stacked": True})[0].export()
    assert sae.window is not None
    reads = torch.stack([sae.W_enc.norm(dim=0), *sae.window.W_enc.norm(dim=1)]) > 0
    writes = torch.stack([sae.W_dec.norm(dim=1), *sae.window.W_dec.norm(dim=2)]) > 0
    own = torch.arange(T - 1, -1, -1)[:, None] == torch.arange(sae.n) // (sae.n // T)
    assert torch.equal(reads, own)
    assert torch.equal(writes, own)


def test_the_twin_encodes_as_many_tokens_and_no_neighbours() -> None:
    """Its batches are windows in name alone, so that windows that hang together are what it cannot learn."""
    [own], [twin] = (
        toy.trained("txc", control=control, tokens=300 * 64, lr=1e-2) for control in (None, "shuffled")
    )
    assert (own.run.reading, twin.run.reading) == ("windows", "shuffled windows")
    assert own.log[-1]["tokens"] == twin.log[-1]["tokens"]
    assert own.log[-1]["explained_variance"] > twin.log[-1]["explained_variance"] + 0.02


def test_the_budgets_differ_in_how_the_target_counts_alone() -> None:
    [own] = toy.trained("txc", l0=[3])
    [window] = toy.trained("txc", control="window_l0", l0=[3 * T])
    assert own.sae.k == window.sae.k
    assert torch.equal(own.sae.W_enc, window.sae.W_enc)
    assert torch.equal(own.sae.W_dec, window.sae.W_dec)
    assert window.run.l0 == pytest.approx(T * own.run.l0)
