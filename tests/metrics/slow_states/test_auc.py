"""AUC of all latents at once against scikit-learn's, one by one; what the scores of a state mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.slow_states import baselines
from pipeline.metrics.slow_states.estimates import Estimate, mean
from pipeline.metrics.slow_states.evaluate import Evaluator
from pipeline.metrics.slow_states.metrics import BASELINES
from pipeline.metrics.slow_states.reading import aucs, roc, threshold
from pipeline.metrics.slow_states.section import SlowStatesSection
from tests.metrics.codes import sparse
from tests.metrics.slow_states.made import LENGTH, best, fired, runs, state, text

TOKENS, LATENTS = 40 * LENGTH, 30
RNG = np.random.default_rng(0)
LABEL = runs(40, 4, 12, seed=1)


def codes(share: float, decimals: int = 1) -> np.ndarray:
    """Coarse values, so that many are equal."""
    on = RNG.random((TOKENS, LATENTS)) < share
    return np.round(on * (0.1 + RNG.random((TOKENS, LATENTS)) + 0.3 * LABEL[:, None]), decimals)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_every_auc_is_scikit_learns_ties_included(share: float) -> None:
    dense = codes(share)
    which = RNG.random(TOKENS) < 0.6
    found = fired(dense).aucs(which, LABEL, 4)
    expected = [
        [roc_auc_score(LABEL[which] == value, dense[which, latent]) for value in range(4)]
        for latent in range(LATENTS)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_entries_are_sorted_by_latent_then_value_and_ties_keep_their_order() -> None:
    dense = codes(0.4)
    made = fired(dense)
    token, latent = np.nonzero(dense)
    order = np.lexsort((dense[token, latent].astype(np.float32), latent))
    assert made.token.tolist() == token[order].tolist()
    assert made.latent.tolist() == latent[order].tolist()


def test_ranks_of_other_tokens_are_not_mixed_up() -> None:
    dense = codes(0.3)
    made = fired(dense)
    parts = [RNG.random(TOKENS) < share for share in (0.3, 0.5, 0.7)]
    for which in [*parts, *parts]:
        expected = fired(dense).aucs(which, LABEL, 4)
        np.testing.assert_array_equal(made.aucs(which, LABEL, 4), expected)
        assert made.ranks(which).rate.tolist() == [(column[which] > 0).mean() for column in dense.T]


def test_counts_and_columns_give_the_codes_back() -> None:
    dense = codes(0.2)
    made, which = fired(dense), RNG.random(TOKENS) < 0.5
    np.testing.assert_allclose(np.stack([made.column(i) for i in range(LATENTS)], 1), dense, atol=1e-6)
    expected = [
        [(dense[which & (LABEL == value), i] > 0).sum() for value in range(4)] for i in range(LATENTS)
    ]
    assert made.counts(which, LABEL, 4).tolist() == expected


def test_a_silent_latent_and_one_that_is_always_on_know_nothing() -> None:
    dense = np.zeros((TOKENS, 3))
    dense[:, 1] = 2.0
    found = fired(dense).aucs(np.ones(TOKENS, dtype=bool), LABEL, 4)
    assert found.tolist() == [[0.5] * 4] * 3


def test_a_value_that_none_or_all_tokens_have_has_no_auc() -> None:
    found = fired(codes(0.3)).aucs(np.ones(TOKENS, dtype=bool), np.zeros(TOKENS, dtype=np.int64), 2)
    assert np.isnan(found).all()


def test_one_column_agrees_with_scikit_learn_and_its_influence_is_what_a_token_changes() -> None:
    score, positive = np.round(RNG.normal(size=400), 1), RNG.random(400) < 0.3
    score[RNG.random(400) < 0.4] = 0
    score += positive * 0.4 * (score > 0)
    auc, influence = roc(score, positive)
    assert auc == pytest.approx(roc_auc_score(positive, score))
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    for token in (0, 5, 77):  # leaving a token out moves the score by its influence, to first order
        kept = np.arange(400) != token
        assert roc(score[kept], positive[kept])[0] - auc == pytest.approx(-influence[token], abs=2e-4)


def test_the_interval_is_that_of_documents_drawn_again() -> None:
    """The pseudo-values' bootstrap against AUCs of the very tokens of drawn documents."""
    document = np.repeat(np.arange(60), 20)
    effect = RNG.normal(size=60)[document]
    positive = RNG.random(1200) < 1 / (1 + np.exp(-effect))
    score = RNG.normal(size=1200) + effect + positive
    auc, influence = roc(score, positive)
    number = Estimate(auc, np.bincount(document, influence)).number(Resampling())
    drawn = []
    for _ in range(400):
        which = (RNG.integers(60, size=60)[:, None] * 20 + np.arange(20)).ravel()
        drawn.append(roc(score[which], positive[which])[0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert number.value == pytest.approx(auc)
    assert number.low == pytest.approx(low, abs=0.015)
    assert number.high == pytest.approx(high, abs=0.015)


def test_the_threshold_has_the_best_balanced_accuracy() -> None:
    positive = RNG.random(300) < 0.4
    score = np.round(np.maximum(RNG.normal(size=300) + positive, 0), 1)
    found = threshold(score, positive)
    best = max(balanced_accuracy_score(positive, score > each) for each in np.unique(score))
    assert balanced_accuracy_score(positive, score > found) == pytest.approx(best)
    assert threshold(np.zeros(300), positive) == 0


def test_the_latents_of_a_state_are_found_and_measured_on_the_other_half() -> None:
    dense = codes(0.1)
    for value in range(4):
        dense[:, 20 + value] = (LABEL == value) * 1.5
    labels = text(state("topic", LABEL), documents=40)
    reading = best(fired(dense), labels)
    assert [column.tolist() for column in reading.column] == [[20, 21, 22, 23]] * 2
    assert [each.found.value for each in aucs(reading, labels)] == [1.0] * 8


def test_dense_latents_can_be_left_out() -> None:
    dense = np.zeros((TOKENS, 2))
    dense[:, 0] = 1.0 + (LABEL == 0)  # always on, and knows the state by its value
    dense[:, 1] = (LABEL == 0) & (RNG.random(TOKENS) < 0.5)
    labels = text(state("topic", LABEL), documents=40)
    assert best(fired(dense), labels).column[0][0] == 0
    fewer = best(fired(dense), labels, 0.3)
    assert fewer.column[0][0] == 1
    assert aucs(fewer, labels)[0].found.value == pytest.approx(0.75, abs=0.05)


def test_permuted_labels_are_read_by_chance() -> None:
    labels = text(state("topic", RNG.permutation(LABEL)), documents=40)
    found = mean([each.found for each in aucs(best(fired(codes(0.3)), labels), labels)])
    assert found is not None
    number = found.number(Resampling())
    assert number.low is not None
    assert number.high is not None
    assert number.low - 0.01 < 0.5 < number.high + 0.01
    assert number.high - number.low < 0.06


def test_the_baselines_read_what_is_there_to_read() -> None:
    """One neuron holds the first value with a minus sign; the token knows nothing; all of x knows all."""
    x = RNG.normal(size=(TOKENS, 5))
    x[:, 2] -= 3.0 * (LABEL == 0)
    mixed = RNG.normal(size=(4, 5))
    labels = text(state("topic", LABEL), documents=40)
    topic = labels.slow[0]
    neuron = baselines.read(baselines.neurons(x), labels, topic)
    assert [column[0] for column in neuron.column] == [2, 2]
    assert aucs(neuron, labels)[0].found.value == pytest.approx(roc_auc_score(LABEL == 0, -x[:, 2]), abs=0.02)
    probe = baselines.read(baselines.dense_probe(x + 2 * mixed[LABEL]), labels, topic)
    single = baselines.read(baselines.neurons(x + 2 * mixed[LABEL]), labels, topic)
    assert np.mean([each.found.value for each in aucs(probe, labels)]) > 0.05 + np.mean(
        [each.found.value for each in aucs(single, labels)]
    )
    token = aucs(baselines.read(baselines.token_lookup, labels, topic), labels)
    assert np.mean([each.found.value for each in token]) == pytest.approx(0.5, abs=0.05)


def test_without_labels_in_one_half_nothing_is_chosen_and_nothing_measured() -> None:
    x = RNG.normal(size=(TOKENS, 5))
    odd = np.repeat(np.arange(40), LENGTH) % 2 == 1
    labels = text(state("topic", np.where(odd, LABEL, -1)), documents=40)
    evaluator = Evaluator(labels, SlowStatesSection(resamples=100))
    found = evaluator.baselines(x)
    codes_of = torch.from_numpy(codes(0.3)).float()
    found |= {
        name: number
        for name, number in evaluator.of([sparse(codes_of)], LATENTS).numbers.items()
        if name in ("slow_auc", "slow_auc_without_dense", "detection_delay", "delay_after_change")
    }
    assert len(found) == 2 * len(BASELINES) + 4
    assert {number.value for number in found.values()} == {None}
    assert all("both halves" in str(number.reason) for number in found.values())


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_dense_probe_fitted_on_next_to_nothing_knows_nothing(tokens: int) -> None:
    x = RNG.normal(size=(TOKENS, 5))
    even = np.flatnonzero(np.repeat(np.arange(40), LENGTH) % 2 == 0)
    label = LABEL.copy()
    label[even[tokens:]] = -1
    labels = text(state("topic", label), documents=40)
    score, _ = baselines.dense_probe(x)(labels, labels.slow[0], 0)
    assert score.shape == (TOKENS, 4)
    assert not score.any()
