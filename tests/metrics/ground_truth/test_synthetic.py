from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.metrics.ground_truth.synthetic import (
    Sample,
    SourceSection,
    draw,
    independent_rates,
    make_source,
)
from pipeline.metrics.ground_truth.unseen import orders
from pipeline.sae.core.codes import Codes, Pairs

SECTION = SourceSection(
    d=20, parents=4, children=2, states=2, orders=2, independents=6, independent_l0=1.5, context_length=16,
    noise=0,
)  # fmt: skip
CONTEXTS = 1500
COUPLED, EVENT, INDEPENDENT = 12, 16, 20
"""The first feature of each kind."""


@pytest.fixture(scope="module")
def sample() -> Sample:
    return draw(make_source(SECTION, 3), CONTEXTS, 3, 1)


def firing(sample: Sample) -> np.ndarray:
    return sample.truth.dense().numpy() > 0


def test_directions_are_unit_and_differ_between_seeds():
    first, second = make_source(SECTION, 0), make_source(SECTION, 1)
    assert first.directions.shape == (26, 20)
    torch.testing.assert_close(first.directions.norm(dim=1), torch.ones(26))
    assert (first.directions - second.directions).abs().max() > 0.1


def test_default_directions_are_nearly_orthogonal():
    directions = make_source(SourceSection(), 0).directions.double()
    cosines = (directions @ directions.T)[~torch.eye(len(directions), dtype=torch.bool)]
    assert float(cosines.pow(2).mean().sqrt()) == pytest.approx(directions.shape[1] ** -0.5, rel=0.05)
    assert float(cosines.abs().max()) < 0.5


def test_kinds_and_parents_line_up():
    source = make_source(SECTION, 0)
    kinds = ["parent"] * 4 + ["child"] * 8 + ["coupled"] * 4 + ["event"] * 4 + ["independent"] * 6
    assert source.kinds == kinds
    assert [source.first(kind) for kind in ("coupled", "event", "independent")] == [
        COUPLED, EVENT, INDEPENDENT,
    ]  # fmt: skip
    assert source.parent.tolist() == [-1] * 4 + [0, 0, 1, 1, 2, 2, 3, 3] + [-1] * 14


def test_x_is_the_sum_of_firing_directions_times_magnitudes(sample):
    directions = make_source(SECTION, 3).directions
    truth = sample.truth
    for row in range(0, 200, 7):
        expected = np.zeros(SECTION.d)
        for entry in range(int(truth.pairs.offsets[row]), int(truth.pairs.offsets[row + 1])):
            expected += float(truth.value[entry]) * directions[truth.pairs.latent[entry]].double().numpy()
        np.testing.assert_allclose(sample.x[row].numpy(), expected, atol=1e-5)


def test_magnitudes_fill_their_range(sample):
    low, high = SECTION.magnitudes
    assert low <= float(sample.truth.value.min()) < low + 0.01
    assert high - 0.01 < float(sample.truth.value.max()) <= high


def test_features_ascend_within_each_token(sample):
    pairs = sample.truth.pairs
    key = pairs.token * pairs.n + pairs.latent
    assert bool((key.diff() > 0).all())


def test_children_fire_only_under_their_parent_and_at_their_rate(sample):
    on = firing(sample)
    parents, children = on[:, :4], on[:, 4:12].reshape(-1, 4, 2)
    assert not (children & ~parents[:, :, None]).any()
    rate = children.sum() / (2 * parents.sum())
    assert rate == pytest.approx(SECTION.child_rate, abs=0.02)


def test_parents_persist_within_a_context_and_not_across_contexts(sample):
    parents = firing(sample)[:, :4].reshape(CONTEXTS, SECTION.context_length, 4)
    before, after = parents[:, :-1], parents[:, 1:]
    assert parents.mean() == pytest.approx(SECTION.parent_rate, abs=0.01)
    assert (before & after).sum() / before.sum() == pytest.approx(SECTION.parent_stay[0], abs=0.02)
    # the chain begins in its stationary state and another context knows nothing of it
    assert parents[:, 0].mean() == pytest.approx(SECTION.parent_rate, abs=0.015)
    last, first = parents[:-1, -1], parents[1:, 0]
    assert (last & first).sum() / last.sum() < 0.15


def test_independent_rates_are_zipf_and_met(sample):
    rates = independent_rates(SECTION).numpy()
    assert rates.sum() == pytest.approx(SECTION.independent_l0)
    np.testing.assert_allclose(rates[0] / rates, np.arange(1, 7), rtol=1e-12)
    np.testing.assert_allclose(firing(sample)[:, INDEPENDENT:].mean(0), rates, atol=0.015)


def test_l0_is_the_expected_one(sample):
    assert sample.truth.l0() == pytest.approx(SECTION.l0, abs=0.05)
    expected = 24 * 0.06 * (1 + 3 * 0.3) + 16 * 0.04 * 0.5 + 16 * 0.03 + 1.5
    assert SourceSection().l0 == pytest.approx(expected)
    assert SourceSection().features == 192


def test_document_and_position_number_the_contexts(sample):
    length = SECTION.context_length
    assert sample.document.tolist() == [row // length for row in range(CONTEXTS * length)]
    assert sample.position[: length + 1].tolist() == [*range(length), 0]


def test_equal_seeds_give_equal_samples_and_streams_differ():
    source = make_source(SECTION, 5)
    first, again, other = (draw(source, 20, 5, stream) for stream in (1, 1, 2))
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.truth.pairs.latent, again.truth.pairs.latent)
    assert not torch.equal(first.x, other.x)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"independent_l0": 5.0}, "independent_l0"),
        ({"parent_rate": 0.9, "parent_stay": [0.1, 0.95]}, "parent_stay"),
        ({"parent_stay": [0.5, 1.0]}, "parent_stay"),
        ({"state_rate": 0.9, "state_stay": 0.1}, "state_stay"),
        ({"magnitudes": [1.0, 0.5]}, "magnitudes"),
    ],
)
def test_impossible_sources_are_refused(change, word):
    with pytest.raises(BadInput, match=word):
        make_source(SECTION.model_copy(update=change), 0)


def test_magnitudes_last_as_long_as_the_feature_stays_on(sample):
    """And are drawn anew for the next run, the next context and the next feature."""
    magnitude = sample.truth.dense().numpy()
    before, after = magnitude[:-1], magnitude[1:]
    both = (before > 0) & (after > 0)
    within = (np.arange(1, len(magnitude)) % SECTION.context_length != 0)[:, None]
    assert (both & within).sum() > 1000
    assert np.array_equal(before[both & within], after[both & within])
    assert not (before[both & ~within] == after[both & ~within]).any()
    runs = magnitude[magnitude > 0]
    assert len(np.unique(runs)) > len(runs) / 4


@pytest.mark.parametrize("stay", [0.0, 0.5])
def test_magnitudes_are_kept_from_token_to_token_as_often_as_asked(stay):
    section = SECTION.model_copy(update={"magnitude_stay": stay})
    magnitude = draw(make_source(section, 3), 400, 3, 1).truth.dense().numpy()[:, :4]
    before, after = magnitude[:-1], magnitude[1:]
    both = (before > 0) & (after > 0)
    assert (before == after)[both].mean() == pytest.approx(stay, abs=0.03)


def test_noise_has_the_size_that_is_asked_for_and_touches_nothing_else():
    noisy, clean = (
        draw(make_source(each, 3), 200, 3, 1) for each in (SECTION.model_copy(update={"noise": 0.5}), SECTION)
    )
    assert torch.equal(noisy.truth.pairs.latent, clean.truth.pairs.latent)
    assert torch.equal(noisy.truth.value, clean.truth.value)
    noise, signal = (part.double().pow(2).sum(1).mean() for part in (noisy.x - clean.x, clean.x))
    assert float((noise / signal) ** 0.5) == pytest.approx(0.5, rel=0.1)


def test_every_parent_has_the_persistence_that_is_asked_for():
    section = SECTION.model_copy(update={"parent_stay": [0.5, 0.9], "parent_rate": 0.2})
    on = firing(draw(make_source(section, 0), 3000, 0, 1))[:, :4].reshape(3000, -1, 4)
    stays = (on[:, :-1] & on[:, 1:]).sum((0, 1)) / on[:, :-1].sum((0, 1))
    np.testing.assert_allclose(stays, np.linspace(0.5, 0.9, 4), atol=0.02)
    np.testing.assert_allclose(on.mean((0, 1)), 0.2, atol=0.015)


def test_coupled_features_fire_only_under_their_hidden_state(sample):
    on, states = firing(sample), sample.states.dense(torch.ones(len(sample.states))).numpy() > 0
    coupled = on[:, COUPLED:EVENT].reshape(-1, 2, 2)
    assert not (coupled & ~states[:, :, None]).any()
    assert coupled.sum() / (2 * states.sum()) == pytest.approx(SECTION.coupled_rate, abs=0.02)
    assert states.mean() == pytest.approx(SECTION.state_rate, abs=0.01)
    per_context = states.reshape(CONTEXTS, -1, 2)
    stays = (per_context[:, :-1] & per_context[:, 1:]).sum() / per_context[:, :-1].sum()
    assert stays == pytest.approx(SECTION.state_stay, abs=0.02)


def test_events_fire_token_by_token_at_their_rate(sample):
    np.testing.assert_allclose(firing(sample)[:, EVENT:INDEPENDENT].mean(0), SECTION.event_rate, atol=0.006)


def test_the_truth_of_an_order_by_hand():
    """One pair of events, a window of two tokens, two contexts of four tokens; columns first, second."""
    section = SECTION.model_copy(update={"orders": 1, "order_window": 2, "context_length": 4})
    source = make_source(section, 0)
    fires = {  # token: event
        0: (0,), 1: (1,),  # first, then second at once: counts
        2: (), 3: (1,),  # three tokens after the first: too late
        4: (1,), 5: (0,),  # second then first, and the first of the other context is another matter
        6: (0, 1),  # both at one token; the first came at 5: counts
        7: (1,),  # counts, for 5 and 6
    }  # fmt: skip
    token = torch.tensor([t for t, events in fires.items() for _ in events])
    latent = EVENT + torch.tensor([event for events in fires.values() for event in events])
    pairs = Pairs.of(token, latent, 8, section.features)
    rows = torch.arange(8)
    made = Sample(
        torch.zeros(8, section.d), Codes(pairs, torch.ones(len(pairs))), pairs.keep(latent < 0), rows // 4,
        rows % 4,
    )  # fmt: skip
    assert orders(source, made).token.tolist() == [1, 6, 7]


def test_without_noise_states_and_events_it_is_the_source_of_old():
    """Kinds and rates as before, magnitudes drawn at each token, nothing else added."""
    section = SECTION.model_copy(update={"states": 0, "orders": 0, "magnitude_stay": 0.0})
    old = draw(make_source(section, 3), 400, 3, 1)
    assert make_source(section, 3).kinds == ["parent"] * 4 + ["child"] * 8 + ["independent"] * 6
    assert section.l0 == pytest.approx(4 * 0.06 * (1 + 2 * 0.3) + 1.5)
    assert old.truth.l0() == pytest.approx(section.l0, abs=0.06)
    assert len(old.states) == 0
    assert len(torch.unique(old.truth.value)) > 0.99 * len(old.truth.pairs)
