from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pipeline.metrics.reconstruction import geometry
from pipeline.sae.core.inference import SAE
from tests.metrics.codes import random_sae


def test_it_is_the_mean_of_each_latents_largest_cosine(monkeypatch: pytest.MonkeyPatch):
    sae = replace(random_sae(6, 9, 3, 0), W_enc=torch.randn(6, 9, generator=torch.Generator().manual_seed(1)))

    def expected(rows: list[list[float]]) -> float:
        def cosine(a: list[float], b: list[float]) -> float:
            return sum(p * q for p, q in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))

        best = [max(cosine(a, b) for j, b in enumerate(rows) if j != i) for i, a in enumerate(rows)]
        return sum(best) / len(best)

    whole = geometry.values(sae)
    assert whole["average_max_decoder_cosine_sim"].value == pytest.approx(
        expected(sae.W_dec.tolist()), rel=1e-6
    )
    assert whole["average_max_encoder_cosine_sim"].value == pytest.approx(
        expected(sae.W_enc.T.tolist()), rel=1e-6
    )
    monkeypatch.setattr(geometry, "ROWS", 4)  # 9 latents in blocks of 4, 4 and 1
    for name, value in geometry.values(sae).items():
        assert value.value == pytest.approx(whole[name].value, rel=1e-6)


def test_a_latent_with_a_twin_has_cosine_one_and_opposites_do_not():
    rows = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    assert geometry.largest_cosines(rows).tolist() == [1.0, 1.0, -1.0]


def test_one_latent_has_no_other():
    sae = SAE("standard", torch.ones(2, 1), torch.ones(1, 2), torch.zeros(2), torch.zeros(1))
    assert {value.value for value in geometry.values(sae).values()} == {None}
