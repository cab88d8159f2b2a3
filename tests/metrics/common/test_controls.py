"""Controls: the same codes in other directions, and their scores by one pass."""

from __future__ import annotations

import torch

from pipeline.metrics.behavior.measure import References, Spliced
from pipeline.metrics.common.controls import moved, permuted, random_sae
from tests.metrics.behavior.test_behavior import MEAN, PLAN, D, contexts, measured, suffix
from tests.metrics.codes import perfect_sae


def test_a_permuted_decoder_keeps_codes_and_rows() -> None:
    sae = random_sae(torch.randn(4, D, generator=torch.Generator().manual_seed(0)), 20, 3, 1)
    changed = permuted(sae, 5)
    x = torch.randn(50, D, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(changed.encode(x).dense(), sae.encode(x).dense())
    assert not torch.equal(changed.W_dec, sae.W_dec)
    assert {tuple(row) for row in changed.W_dec.tolist()} == {tuple(row) for row in sae.W_dec.tolist()}
    assert torch.equal(permuted(sae, 5).W_dec, changed.W_dec)


def test_one_pass_gives_the_score_of_the_whole_measurement() -> None:
    batch, sae = contexts(6, 3), permuted(perfect_sae(D), 1)
    control = Spliced(sae)
    clean, shared = References(suffix, MEAN).measure(batch)
    control.add(clean, shared, batch)
    expected = measured(sae, [batch]).values(PLAN)["ce_score"]
    assert expected.value is not None
    assert control.value(PLAN) == expected
    assert expected.value < 0.9  # what the unchanged SAE has is 1


def test_an_untrained_sae_moves_whole() -> None:
    sae = random_sae(torch.zeros(1, D), 8, 2, 0)
    there = moved(sae, torch.device("meta"))
    assert {there.W_enc.device, there.W_dec.device, there.b_dec.device} == {torch.device("meta")}
    assert there.b_enc is not None
    assert there.b_enc.device == torch.device("meta")
    assert (there.k, there.architecture) == (2, "topk")
    assert there.W_dec.shape == sae.W_dec.shape


def test_no_context_no_score() -> None:
    assert Spliced(perfect_sae(D)).value(PLAN).reason == "no token to score was evaluated"
