"""The first-letter measurement on a source whose parents and children are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipeline.metrics.ground_truth.proxy import ITEMS, METRICS, proxy_task, proxy_values
from pipeline.metrics.ground_truth.synthetic import Sample, Source, SourceSection, draw, make_source
from pipeline.metrics.ground_truth.true_features import encode
from pipeline.tasks.letters.task import LetterTask
from tests.metrics.ground_truth.test_ground_truth import absorbing, oracle
from tests.sae.windows import late

SECTION = SourceSection(
    d=32, parents=6, children=3, states=0, orders=0, independents=6, independent_l0=1.0, context_length=16,
    noise=0, magnitude_stay=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def source() -> Source:
    return make_source(SECTION, 1)


@pytest.fixture(scope="module")
def sample(source: Source) -> Sample:
    return draw(source, 600, 1, 2)


@pytest.fixture(scope="module")
def task(source: Source, sample: Sample) -> LetterTask:
    made = proxy_task(source, sample, 0)
    assert isinstance(made, LetterTask)
    return made


def test_items_have_one_parent_and_at_most_one_child(
    source: Source, sample: Sample, task: LetterTask
) -> None:
    """Every item's activation is found among the tokens, with the truth that its word and letter claim."""
    truth = sample.truth.dense() > 0
    counts = torch.bincount(task.letter, minlength=26)
    for i, word in enumerate(task.words):
        token = int((sample.x == task.x[i]).all(1).nonzero()[0])
        parents = truth[token, : SECTION.parents].nonzero().flatten().tolist()
        children = truth[token, SECTION.parents : SECTION.parents * 4].nonzero().flatten().tolist()
        assert parents == [int(task.letter[i])]
        child = int(word[1:])
        assert [c - 3 * parents[0] for c in children] == ([child] if child >= 0 else [])
    assert counts[: SECTION.parents].tolist() == [ITEMS] * SECTION.parents
    assert not counts[SECTION.parents :].any()


def test_items_of_a_child_share_a_fold(task: LetterTask) -> None:
    folds: dict[str, set[int]] = {word: set() for word in task.words}
    for word, fold in zip(task.words, task.fold.tolist(), strict=True):
        folds[word].add(fold)
    of_children = {word: fold for word, fold in folds.items() if not word.endswith("-1")}
    assert of_children == {word: {int(word[1:])} for word in of_children}
    assert len(of_children) > 12
    assert all(len(fold) > 3 for word, fold in folds.items() if word.endswith("-1"))


def test_the_true_dictionary_has_no_absorption(source: Source, task: LetterTask) -> None:
    found = proxy_values(oracle(source), task)
    assert set(found) == {metric.name for metric in METRICS}
    assert found["proxy_full_absorption"].value == 0
    assert found["proxy_absorption_fraction"].value == pytest.approx(0, abs=0.01)
    assert found["proxy_f1_k1"].value == 1


def test_absorbed_children_are_found() -> None:
    """Every child shuts its parent's latent off and holds its direction: all its items are absorbed.

    With equal magnitudes the child's row carries 0.7 of the parent, above the rule's 0.4, every time.
    """
    source = make_source(SECTION.model_copy(update={"magnitudes": [1.0, 1.0]}), 1)
    task = proxy_task(source, draw(source, 600, 1, 2), 0)
    assert isinstance(task, LetterTask)
    found = proxy_values(absorbing(source), task)
    letter = task.letter[task.scored]
    with_child = torch.tensor([not task.words[i].endswith("-1") for i in task.scored.tolist()])
    expected = torch.stack([with_child[letter == i].double().mean() for i in range(SECTION.parents)]).mean()
    assert found["proxy_full_absorption"].value == pytest.approx(float(expected), abs=0.01)
    assert float(expected) > 0.4


def test_the_same_seed_takes_the_same_items(source: Source, sample: Sample, task: LetterTask) -> None:
    again, other = (proxy_task(source, sample, seed) for seed in (0, 1))
    assert isinstance(again, LetterTask)
    assert isinstance(other, LetterTask)
    assert torch.equal(again.x, task.x)
    assert torch.equal(again.weight, task.weight)
    assert not torch.equal(other.x, task.x)


def test_one_parent_alone_is_a_reason() -> None:
    source = make_source(SECTION.model_copy(update={"parents": 1}), 0)
    made = proxy_task(source, draw(source, 20, 0, 2), 0)
    assert isinstance(made, str)
    assert {value.reason for value in proxy_values(oracle(source), made).values()} == {made}


def test_parents_that_no_probe_sees_are_a_reason(task: LetterTask, source: Source) -> None:
    task = LetterTask(**{**vars(task), "weight": torch.zeros_like(task.weight), "bias": task.bias * 0 - 1})
    assert all(
        "no parent has a linear probe" in str(v.reason) for v in proxy_values(oracle(source), task).values()
    )


def test_codes_of_windows_have_no_proxy_but_the_truth(
    sample: Sample, source: Source, task: LetterTask
) -> None:
    """Items are single tokens; the exact counts read the tokens in order, as codes that come late show."""
    own = replace(oracle(source), architecture="topk", k=source.section.features, threshold=None)
    whole = late(own)
    assert {number.reason for number in proxy_values(whole, task).values()} == {
        "its codes read 2 tokens, and the proxy's items are single tokens without those before them"
    }
    codes, _ = encode(whole, sample)
    before, inside = own.encode(sample.x).dense(), sample.position > 0
    torch.testing.assert_close(codes.dense()[inside], before[inside.roll(-1)], atol=1e-4, rtol=1e-4)
