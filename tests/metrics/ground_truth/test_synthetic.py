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

SECTION = SourceSection(d=12, parents=4, children=2, independents=6, independent_l0=1.5, context_length=16)
CONTEXTS = 1500


@pytest.fixture(scope="module")
def sample() -> Sample:
    return draw(make_source(SECTION, 3), CONTEXTS, 3, 1)


def firing(sample: Sample) -> np.ndarray:
    return sample.truth.dense().numpy() > 0


def test_directions_are_unit_and_differ_between_seeds():
    first, second = make_source(SECTION, 0), make_source(SECTION, 1)
    assert first.directions.shape == (18, 12)
    torch.testing.assert_close(first.directions.norm(dim=1), torch.ones(18))
    assert (first.directions - second.directions).abs().max() > 0.1


def test_default_directions_are_nearly_orthogonal():
    directions = make_source(SourceSection(), 0).directions.double()
    cosines = (directions @ directions.T)[~torch.eye(len(directions), dtype=torch.bool)]
    assert float(cosines.pow(2).mean().sqrt()) == pytest.approx(directions.shape[1] ** -0.5, rel=0.05)
    assert float(cosines.abs().max()) < 0.5


def test_kinds_and_parents_line_up():
    source = make_source(SECTION, 0)
    assert source.kinds == ["parent"] * 4 + ["child"] * 8 + ["independent"] * 6
    assert source.parent.tolist() == [-1] * 4 + [0, 0, 1, 1, 2, 2, 3, 3] + [-1] * 6


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
    assert (before & after).sum() / before.sum() == pytest.approx(SECTION.parent_stay, abs=0.02)
    # the chain begins in its stationary state and another context knows nothing of it
    assert parents[:, 0].mean() == pytest.approx(SECTION.parent_rate, abs=0.015)
    last, first = parents[:-1, -1], parents[1:, 0]
    assert (last & first).sum() / last.sum() < 0.15


def test_independent_rates_are_zipf_and_met(sample):
    rates = independent_rates(SECTION).numpy()
    assert rates.sum() == pytest.approx(SECTION.independent_l0)
    np.testing.assert_allclose(rates[0] / rates, np.arange(1, 7), rtol=1e-12)
    np.testing.assert_allclose(firing(sample)[:, 12:].mean(0), rates, atol=0.015)


def test_l0_is_the_expected_one(sample):
    assert sample.truth.l0() == pytest.approx(SECTION.l0, abs=0.05)
    assert SourceSection().l0 == pytest.approx(24 * 0.06 * (1 + 3 * 0.3) + 2)
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
        ({"parent_rate": 0.9, "parent_stay": 0.1}, "parent_stay"),
        ({"magnitudes": [1.0, 0.5]}, "magnitudes"),
    ],
)
def test_impossible_sources_are_refused(change, word):
    with pytest.raises(BadInput, match=word):
        make_source(SECTION.model_copy(update=change), 0)
