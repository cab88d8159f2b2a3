"""Exact absorption from planted parents and children: codes that absorb by a known share."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.slow_states.hierarchy import absorbed, dealt_anew, over_families, parent_of
from pipeline.metrics.slow_states.labels import Labels, State
from tests.metrics.slow_states.made import LENGTH, fired, state, text

DOCUMENTS, PARENTS, CHILDREN = 60, 2, 3
TOKENS = DOCUMENTS * LENGTH
RNG = np.random.default_rng(0)
CHILD = RNG.integers(PARENTS * CHILDREN, size=TOKENS)


@pytest.fixture(scope="module")
def labels() -> Labels:
    return text(
        state("kind", CHILD // CHILDREN, slow=False), state("sub", CHILD, "kind", slow=False),
        documents=DOCUMENTS,
    )  # fmt: skip


def faithful() -> np.ndarray:
    """(N, 8) codes: a latent per parent, then one per child, each on where it should be."""
    return np.concatenate([np.eye(PARENTS)[CHILD // CHILDREN], np.eye(PARENTS * CHILDREN)[CHILD]], 1)


def value(dense: np.ndarray, labels: Labels) -> float:
    found = over_families(absorbed(fired(dense), labels), labels)
    assert found is not None
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)
    return found.value


def test_faithful_latents_absorb_nothing(labels: Labels) -> None:
    found = absorbed(fired(faithful()), labels)
    assert {each.pair.child_latent for each in found} == {
        PARENTS + each.pair.child for each in found
    }  # not the parent's
    # of three children one is the sibling that the others are held against, in each half
    assert len(found) == 2 * PARENTS * (CHILDREN - 1)
    assert value(faithful(), labels) == 0


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_an_absorbed_child_counts_by_its_share(labels: Labels, share: float) -> None:
    """Child 1 of the first parent shuts it off so often: one of two children, of one of two parents."""
    dense = faithful()
    lost = (CHILD == 1) & (np.random.default_rng(1).random(TOKENS) < share)
    dense[lost, 0] = 0
    assert value(dense, labels) == pytest.approx(share / 4, abs=0.02)
    rates = {each.pair.child: each.with_child for each in absorbed(fired(dense), labels)}
    assert rates[1] == pytest.approx(share, abs=0.08)


def test_a_parent_missed_whatever_the_child_is_not_absorbed(labels: Labels) -> None:
    dense = faithful()
    dense[np.random.default_rng(2).random(TOKENS) < 0.5, :PARENTS] = 0
    found = over_families(absorbed(fired(dense), labels), labels)
    assert found is not None
    number = found.number(Resampling())
    assert number.low is not None
    assert number.high is not None
    assert number.low < 0.02
    assert number.high > -0.02
    assert abs(found.value) < 0.05


def test_a_childs_latent_does_not_pass_for_its_parents(labels: Labels) -> None:
    """A perfect latent per child and none for the parents: nothing that could be absorbed."""
    assert absorbed(fired(faithful()[:, PARENTS:]), labels) == []


def test_of_several_parents_those_without_a_latent_are_left_out(labels: Labels) -> None:
    dense = faithful()
    dense[CHILD == 1, 0] = 0
    dense[:, 1] = 0
    found = absorbed(fired(dense), labels)
    assert {each.pair.parent for each in found} == {0}
    assert {each.pair.parent_latent for each in found} == {0}
    assert value(dense, labels) == pytest.approx(1 / 2)  # one of the two children compared


def test_a_weak_parent_latent_goes_before_a_perfect_child_latent(labels: Labels) -> None:
    dense = faithful()
    dense[np.random.default_rng(4).random(TOKENS) < 0.7, :PARENTS] = 0
    found = absorbed(fired(dense), labels)
    assert {each.pair.parent_latent for each in found} == {0, 1}


def test_the_sibling_counts_whether_or_not_the_childs_latent_is_on(labels: Labels) -> None:
    """The child's latent leaks to its siblings and shuts the parent's off there too, in one word of four."""
    dense = faithful()
    leak = (CHILD < CHILDREN) & (CHILD != 1) & (np.random.default_rng(6).random(TOKENS) < 0.25)
    dense[leak, PARENTS + 1] = 1
    dense[leak | (CHILD == 1), 0] = 0
    one = [each for each in absorbed(fired(dense), labels) if each.pair.child == 1]
    assert len(one) == 2
    for each in one:
        sibling = (CHILD == each.pair.sibling) & (labels.half == each.pair.half)
        assert each.otherwise == pytest.approx(leak[sibling].mean())
        assert each.found.value == pytest.approx(1 - leak[sibling].mean(), abs=1e-9)


def test_equal_company_takes_away_what_other_words_do() -> None:
    """A parent missed in one word class only, in which one child is common: no absorption by that child."""
    rng = np.random.default_rng(5)
    word = rng.integers(2, size=TOKENS)
    child = np.where(rng.random(TOKENS) < 0.2 + 0.6 * word, 1, 0) + 2 * rng.integers(2, size=TOKENS)
    dense = np.concatenate([np.eye(2)[child // 2], np.eye(4)[child]], 1)
    dense[(word == 1) & (rng.random(TOKENS) < 0.6), :2] = 0
    states = (state("word_class", word, slow=False), state("kind", child // 2, slow=False),
              state("sub", child, "kind", slow=False))  # fmt: skip
    matched, plain = (
        over_families(absorbed(fired(dense), made), made)
        for made in (text(*states, documents=DOCUMENTS), text(*states[1:], documents=DOCUMENTS))
    )
    assert matched is not None
    assert plain is not None
    assert abs(matched.value) < 0.06
    assert plain.value > 0.15


def test_permuted_children_are_not_absorbed(labels: Labels) -> None:
    dense = faithful()
    dense[CHILD == 1, 0] = 0
    orders = dealt_anew(labels, 0)
    order = orders["sub"]
    assert sorted(order.tolist()) == list(range(TOKENS))
    assert (CHILD[order] // CHILDREN == CHILD // CHILDREN).all()
    assert (CHILD[order] != CHILD).mean() > 0.5
    chance = over_families(absorbed(fired(dense), labels, orders), labels)
    assert chance is not None
    assert abs(chance.value) < 0.03
    assert value(dense, labels) == pytest.approx(0.25, abs=0.02)


def test_latents_that_know_nothing_own_no_child(labels: Labels) -> None:
    dense = (np.random.default_rng(3).random((TOKENS, 9)) < 0.2).astype(float)
    assert absorbed(fired(dense), labels) == []
    assert over_families([], labels) is None


def test_a_child_belongs_to_the_parent_of_most_of_its_tokens() -> None:
    parent = State("kind", 3, np.array([0, 0, 1, 2, 2, 2]), False)
    child = State("sub", 4, np.array([0, 0, 0, 1, 1, -1]), False, "kind")
    assert parent_of(parent, child, child.label >= 0).tolist() == [0, 2, -1, -1]
