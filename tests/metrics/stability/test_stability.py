"""Latents of two seeds: found again in a permuted copy, at chance in noise, and as plain loops count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from pipeline.compare.paired.items import Sums
from pipeline.metrics.stability.activity import Activity, activity, correlation
from pipeline.metrics.stability.matching import assigned, rotated
from pipeline.metrics.stability.measure import LATENTS, METRICS, SHARED, Trained, measure
from pipeline.metrics.stability.section import StabilitySection
from pipeline.numbers.document import Measured
from pipeline.sae.core.inference import SAE
from pipeline.store import Batch

D, N, T, K = 16, 40, 600, 4
SECTION = StabilitySection(resamples=200)


def made(seed: int) -> SAE:
    """Unit decoder rows, an encoder of its own, a TopK code."""
    generator = torch.Generator().manual_seed(seed)
    W_dec = torch.randn(N, D, generator=generator)
    W_dec /= W_dec.norm(dim=1, keepdim=True)
    W_enc = (W_dec + 0.2 * torch.randn(N, D, generator=generator)).T.contiguous()
    return SAE("topk", W_enc, W_dec, torch.zeros(D), torch.zeros(N), k=K)


def x() -> Tensor:
    return torch.randn(T, D, generator=torch.Generator().manual_seed(9))


def permuted(sae: SAE, order: Tensor) -> SAE:
    """The same SAE with its latents in another `order`."""
    assert sae.b_enc is not None
    return replace(sae, W_enc=sae.W_enc[:, order], W_dec=sae.W_dec[order], b_enc=sae.b_enc[order])


def without(sae: SAE, latents: list[int]) -> SAE:
    """`sae` in which `latents` never fire."""
    assert sae.b_enc is not None
    bias = sae.b_enc.clone()
    bias[latents] = -1e3
    return replace(sae, b_enc=bias)


def block(part: Tensor) -> Batch:
    """As tokens of one context."""
    place = torch.arange(len(part))
    return Batch(part, torch.zeros_like(place), place, torch.zeros_like(place))


def trained(sae: SAE) -> Trained:
    return Trained(sae, activity(sae, [block(part) for part in x().split(250)]))


def measured(*saes: SAE) -> dict[int, Measured]:
    return measure({seed: trained(sae) for seed, sae in enumerate(saes)}, SECTION)


def values(found: Measured) -> Mapping[str, float | None]:
    return {name: number.value for name, number in found.numbers.items()}


def table(found: Measured) -> pd.DataFrame:
    return pd.DataFrame([*found.tables[LATENTS]])


def test_a_permuted_copy_is_found_whole_and_in_order() -> None:
    sae, order = made(0), torch.randperm(N, generator=torch.Generator().manual_seed(5))
    found = measured(sae, permuted(sae, order))
    for seed in (0, 1):
        numbers = values(found[seed])
        assert set(numbers) == {each.name for each in METRICS}
        for name in (
            "stability", "stability_90", "stability_by_firing", "matched_cosine", "mmcs", "mmcs_back",
            "functional_stability", "agreement", "alive",
        ):  # fmt: skip
            assert numbers[name] == pytest.approx(1, abs=1e-6), name
    assert table(found[1]).partner.tolist() == order.tolist()
    assert table(found[0]).partner.tolist() == order.argsort().tolist()


def test_noise_is_no_more_alike_than_a_rotated_copy() -> None:
    numbers = values(measured(made(0), made(1))[0])
    assert numbers["stability"] < 0.3
    for name, chance in (
        ("matched_cosine", "matched_cosine_rotated"),
        ("stability", "stability_rotated"),
    ):
        assert numbers[name] == pytest.approx(numbers[chance], abs=0.1)
    assert numbers["functional_stability_shuffled"] < 0.05


def test_a_rotated_copy_is_as_anisotropic_as_before_over_its_alive_latents() -> None:
    sae, alive = anisotropic(0), np.arange(5, N)
    turned = rotated(sae, alive, 3)
    moment = sae.W_dec[alive].T @ sae.W_dec[alive]
    torch.testing.assert_close((turned.W_dec[alive].T @ turned.W_dec[alive]).float(), moment)
    assert (turned.W_dec - sae.W_dec).abs().max() > 0.1
    assert torch.equal(rotated(sae, alive, 3).W_dec, turned.W_dec)
    own = [cosine(sae.W_dec[i], sae.W_enc.T[i]) for i in alive]
    again = [cosine(turned.W_dec[i], turned.W_enc.T[i]) for i in alive]
    assert np.mean(again) == pytest.approx(np.mean(own), abs=0.1)


def test_unrelated_dictionaries_of_one_covariance_are_as_alike_as_a_rotated_copy() -> None:
    """They prefer the same axes, which a plain rotation would count as agreement."""
    a, b = anisotropic(0), anisotropic(1)
    numbers = values(measured(a, b)[0])
    assert numbers["matched_cosine"] == pytest.approx(numbers["matched_cosine_rotated"], abs=0.03)
    plain, _ = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(4)))
    elsewhere = replace(b, W_enc=plain @ b.W_enc, W_dec=b.W_dec @ plain.T)
    assert values(measured(a, elsewhere)[0])["matched_cosine"] < numbers["matched_cosine"] - 0.1


def anisotropic(seed: int) -> SAE:
    """`made`, its directions stretched along the first axes."""
    sae, stretch = made(seed), torch.logspace(0, -1.5, D)
    assert sae.b_enc is not None
    W_dec = torch.nn.functional.normalize(sae.W_dec * stretch, dim=1)
    return replace(sae, W_dec=W_dec, W_enc=(sae.W_enc.T * stretch).T.contiguous())


def test_latents_that_never_fire_are_left_out() -> None:
    sae, dead = made(0), [0, 7, 11]
    found = measured(without(sae, dead), sae)
    half, whole = values(found[0]), values(found[1])
    alive = int((activity(sae, [block(x())]).fired > 0).sum())
    assert found[0].numbers["stability"].items < alive
    assert half["stability"] == pytest.approx(1)
    assert half["alive"] == pytest.approx((N - 3) / N)
    # the other way some latents have no partner: they count as not stable, not as absent
    assert found[1].numbers["stability"].items == alive
    assert whole["stability"] == pytest.approx(found[0].numbers["stability"].items / alive)
    assert whole["matched_cosine"] == pytest.approx(1)
    rows = table(found[0])
    assert rows.alive.eq(0).sum() == 3
    assert rows.loc[dead, ["partner", "matched_cosine", "best_cosine"]].isna().all(axis=None)
    assert not rows.loc[dead, "stable"].any()


def test_nothing_alive_is_a_reason() -> None:
    nothing = without(made(0), list(range(N)))
    found = measured(nothing, made(1))
    assert {number.value for name, number in found[0].numbers.items() if name != "alive"} == {None}
    assert values(found[0])["alive"] == 0
    assert values(found[1])["stability"] == 0
    assert found[1].numbers["matched_cosine"].reason


def test_the_matching_is_the_best_of_all() -> None:
    similar = np.random.default_rng(0).random((5, 6))
    best = max(sum(similar[i, j] for i, j in enumerate(order)) for order in permutations(range(6), 5))
    partner = assigned(similar)
    assert similar[np.arange(5), partner].sum() == pytest.approx(best)
    assert sorted(assigned(similar.T)) == [-1, 0, 1, 2, 3, 4]


def test_numbers_agree_with_plain_loops() -> None:
    sae = made(0)
    generator = torch.Generator().manual_seed(2)
    noisy = replace(
        without(sae, [3]),
        W_enc=sae.W_enc + 0.2 * torch.randn(D, N, generator=generator),
        W_dec=torch.nn.functional.normalize(sae.W_dec + 0.15 * torch.randn(N, D, generator=generator)),
    )
    other = permuted(noisy, torch.randperm(N, generator=generator))
    found = measured(sae, other)[0]
    z, w = sae.encode(x()).dense().double().numpy(), other.encode(x()).dense().double().numpy()
    mine, theirs = np.flatnonzero(z.any(0)), np.flatnonzero(w.any(0))
    similar = [[(cosine(sae.W_enc.T[i], other.W_enc.T[j]) + cosine(sae.W_dec[i], other.W_dec[j])) / 2
                for j in theirs] for i in mine]  # fmt: skip
    alike = [[np.corrcoef(z[:, i], w[:, j])[0, 1] for j in theirs] for i in mine]
    for name, matrix, floor in (("stability", similar, 0.7), ("stability_90", similar, 0.9),
                                ("functional_stability", alike, 0.7)):  # fmt: skip
        partner = assigned(np.array(matrix))
        shared = [j >= 0 and row[j] >= floor for row, j in zip(matrix, partner, strict=True)]
        assert 0.02 < np.mean(shared) < 0.98
        assert values(found)[name] == pytest.approx(np.mean(shared)), name
    assert values(found)["mmcs"] == pytest.approx(np.mean([max(row) for row in similar]))
    assert values(found)["mmcs_back"] == pytest.approx(np.mean(np.max(similar, axis=0)))
    partner = assigned(np.array(similar))
    kept = [(i, j) for i, j in enumerate(partner) if j >= 0]
    assert values(found)["agreement"] == pytest.approx(np.mean([alike[i][j] for i, j in kept]))
    fires = [(z[:, i] > 0).sum() for i in mine]
    by_firing = [n * (j >= 0 and similar[i][j] >= SHARED)
                 for i, (n, j) in enumerate(zip(fires, partner, strict=True))]  # fmt: skip
    assert values(found)["stability_by_firing"] == pytest.approx(sum(by_firing) / sum(fires))


def cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.double(), b.double()
    return float(a @ b / (a.norm() * b.norm()))


def test_a_code_that_never_changes_correlates_with_nothing() -> None:
    entries = np.arange(6)
    constant = Activity(entries, np.zeros(6, dtype=int), np.full(6, 2.0), 6, 1)
    some = Activity(entries[:3], np.zeros(3, dtype=int), np.array([1.0, 2.0, 3.0]), 6, 1)
    assert correlation(constant, some).tolist() == [[0.0]]
    assert correlation(some, some)[0, 0] == pytest.approx(1)


def test_an_sae_of_three_seeds_has_the_mean_over_its_pairs() -> None:
    sae = made(0)
    found = measured(sae, permuted(sae, torch.arange(N).flip(0)), made(1))
    alone = values(measured(sae, made(1))[0])["stability"]
    assert alone is not None
    assert values(found[0])["stability"] == pytest.approx((1 + alone) / 2)
    assert table(found[0]).other.unique().tolist() == [1, 2]


def test_the_table_draws_the_score_again_and_both_rows_of_a_pair_alike() -> None:
    """One pair seen from two seeds is one measurement: equal draws of items give almost equal scores."""
    sae = made(0)
    generator = torch.Generator().manual_seed(2)
    other = permuted(
        replace(sae, W_enc=sae.W_enc + 0.3 * torch.randn(D, N, generator=generator)),
        torch.randperm(N, generator=generator),
    )
    found = measured(sae, other)
    stability = next(each for each in METRICS if each.name == "stability")
    assert stability.headline is not None
    assert stability.headline.items is not None
    sums = [Sums.of(table(found[seed]), stability.headline.items) for seed in (0, 1)]
    assert sums[0].names == sums[1].names == tuple(range(N))
    for seed in (0, 1):
        assert sums[seed].value() == pytest.approx(values(found[seed])["stability"])
    assert np.corrcoef(sums[0].draws(), sums[1].draws())[0, 1] > 0.9
