"""Controls: the same codes in other directions, and what is said of them."""

from __future__ import annotations

import torch

from pipeline.metrics.behavior.evaluate import ablations, score
from pipeline.metrics.behavior.measure import of_sae
from pipeline.metrics.common.controls import (
    of_lookup,
    of_permuted,
    of_shuffled,
    of_untrained,
    permuted,
    random_sae,
)
from pipeline.numbers.definition import Definition, Headline, Reference
from tests.metrics.behavior.test_behavior import MEAN, SECTION, D, contexts, numbers, suffix
from tests.metrics.codes import perfect_sae

METRIC = Definition("hits", "higher", "share", 3, "what it means", headline=Headline("h", "H", 7))


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
    whole = numbers(sae, [batch])
    expected = {name: whole[name] for name in ("kl_sae", "ce_score")}
    assert score(of_sae(sae), [batch], suffix, ablations([batch], suffix, MEAN), SECTION) == expected
    assert whole["ce_score"].value < 0.9  # what the unchanged SAE has is 1


def test_no_context_no_score() -> None:
    found = score(of_sae(perfect_sae(D)), [], suffix, {}, SECTION)
    assert found["kl_sae"].reason == found["ce_score"].reason == "no token to score was evaluated"


def test_a_control_stands_under_the_column_of_its_metric() -> None:
    assert of_untrained(METRIC).reference == Reference("untrained SAE", "h", 1)
    assert of_permuted(METRIC).reference == Reference("decoder permuted", "h", 2, spread=True)
    assert of_lookup(METRIC).reference == Reference("token lookup (L0 1)", "h", 6)
    shuffled = of_shuffled(METRIC, 1.0)
    assert shuffled.reference == Reference("shuffled tokens", "h", 7)
    assert "1 by construction" in shuffled.definition
    plain = of_untrained(Definition("other", "lower", "share", 1, "in no column"))
    assert (plain.name, plain.better, plain.reference) == ("other_random_sae", "neither", None)
