"""SAEBench's probing numbers: redrawn negatives, and the epoch that is best on the test texts."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from pipeline.metrics.probing.measure import sparse_logits, top_features
from pipeline.metrics.probing.saebench import (
    EPOCHS,
    PATIENCE,
    RATE,
    best_epoch,
    metrics,
    probing_all,
    redrawn,
    set_by_set,
    values,
)
from pipeline.metrics.probing.section import ProbingSection
from pipeline.tasks.probing.problems import Padded, accuracy
from tests.metrics.probing.test_probing import made_task

SECTION = ProbingSection(k=[1, 3], resamples=100)


def parts() -> tuple[torch.Tensor, Padded, Padded, Padded]:
    task = made_task()
    return (task.mean, *(Padded.of(task.problems, split) for split in ("train", "validation", "test")))


def reference(
    x: np.ndarray, y: np.ndarray, watched: tuple[np.ndarray, np.ndarray], w: np.ndarray, b: float
) -> tuple[np.ndarray, float]:
    """One problem by a NumPy AdamW, one batch an epoch; weights of the epoch best on `watched`."""
    theta = np.append(w, b).astype(np.float64)
    first, second, best, kept, waited = np.zeros_like(theta), np.zeros_like(theta), 0.0, theta.copy(), 0
    for step in range(1, EPOCHS + 1):
        p = 1 / (1 + np.exp(-(x @ theta[:-1] + theta[-1])))
        slope = np.append(x.T @ (p - y), (p - y).sum()) / len(y)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        theta = theta * (1 - RATE * 0.01)
        theta = theta - RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        reached = np.mean((watched[0] @ theta[:-1] + theta[-1] > 0) == watched[1])
        best, kept, waited = (reached, theta.copy(), 0) if reached > best else (best, kept, waited + 1)
        if waited >= PATIENCE:
            break
    return kept, float(best)


@pytest.mark.parametrize("on_test", [True, False])
def test_best_epoch_is_a_numpy_loop_per_problem(on_test: bool) -> None:
    features, train, validation, test = parts()
    watched = test if on_test else validation
    found = best_epoch(features, train, watched, test, 3)
    g = torch.Generator().manual_seed(3)
    bound = features.shape[1] ** -0.5
    w, b = (
        (2 * torch.rand(len(train.text), size, generator=g) - 1) * bound for size in (features.shape[1], 1)
    )
    for i in range(len(train.text)):

        def of(part: Padded, i: int = i) -> tuple[np.ndarray, np.ndarray]:
            real = part.real[i]
            return features[part.text[i][real]].double().numpy(), part.truth[i][real].numpy()

        kept, best = reference(*of(train), of(watched), w[i].numpy(), float(b[i]))
        x, y = of(test)
        tested = np.mean((x @ kept[:-1] + kept[-1] > 0) == y)
        # a logit within rounding of zero may fall on either side
        assert float(found[i]) == pytest.approx(tested, abs=1.01 / len(y))
        if on_test:
            assert tested == best


def test_the_best_test_epoch_is_never_below_the_validated_one() -> None:
    features, train, validation, test = parts()
    optimistic, honest = (best_epoch(features, train, part, test, 0) for part in (test, validation))
    assert (optimistic >= honest).all()
    assert (optimistic > honest).any()


@pytest.mark.parametrize("watched", ["validation", "test"])
def test_a_set_reads_its_own_texts_alone(watched: str) -> None:
    """Also where its texts are numbered among those of other sets, here of no number."""
    task = made_task()
    found = set_by_set(task.mean, task.problems, watched, 3)
    for name in ("many", "two"):
        rows = [row for row, problem in enumerate(task.problems) if problem.labelled == name]
        own = [task.problems[row] for row in rows]
        texts = sorted({text for problem in own for items in problem.items.values() for text in items})
        alone = torch.full_like(task.mean, torch.nan)
        alone[texts] = task.mean[texts]
        assert torch.equal(set_by_set(alone, own, watched, 3), found[rows])
        parts = (Padded.of(own, split) for split in ("train", watched, "test"))
        assert torch.equal(best_epoch(task.mean, *parts, 3), found[rows])


def test_a_batch_limit_does_not_lose_items() -> None:
    """More items than one batch holds: the probe still learns all of them."""
    g = torch.Generator().manual_seed(0)
    truth = torch.arange(600)[None] % 2 == 0
    features = torch.where(truth[0, :, None], 1.0, -1.0) + 0.3 * torch.randn(600, 4, generator=g)
    items = Padded(torch.arange(600)[None], truth, torch.ones(1, 600, dtype=torch.bool))
    assert float(best_epoch(features, items, items, items, 0)) > 0.98


def test_redrawn_negatives_keep_the_positives_and_the_rule() -> None:
    problems = made_task().problems
    drawn = redrawn(problems, Random("0"))
    assert drawn == redrawn(problems, Random("0"))
    assert drawn != redrawn(problems, Random("1"))
    owner = {
        text: (problem.labelled, problem.positive)
        for problem in problems
        for split in problem.items
        for text, truth in zip(problem.items[split], problem.truth[split], strict=True)
        if truth
    }
    for before, after in zip(problems, drawn, strict=True):
        for split in before.items:
            count = sum(before.truth[split])
            assert after.items[split][:count] == before.items[split][:count]
            assert after.truth[split] == [True] * count + [False] * (len(after.items[split]) - count)
            rest = after.items[split][count:]
            assert len(set(rest)) == len(rest) == count
            classes = [owner.get(text, (before.labelled, "other")) for text in rest]
            assert (before.labelled, before.positive) not in classes
            assert {name for name, _ in classes} == {before.labelled}
            if before.labelled == "many":
                assert max(classes.count(each) for each in set(classes)) <= -(-count // 2)
    many = [problem.labelled == "many" for problem in problems]
    changed = [before.items != after.items for before, after in zip(problems, drawn, strict=True)]
    assert all(moved for moved, of_many in zip(changed, many, strict=True) if of_many)


def test_values_are_the_plain_ones_on_redrawn_problems() -> None:
    task = made_task()
    found = values("llm", task.mean, task, SECTION) | values("sae", task.mean, task, SECTION)
    found |= probing_all(task.mean, task, SECTION)
    assert set(found) == {metric.name for metric in metrics(SECTION)}
    problems = redrawn(task.problems, Random("negatives sae 3 0"))
    train, test = (Padded.of(problems, split) for split in ("train", "test"))
    score = accuracy(sparse_logits(task.mean, top_features(task.mean, train, 3), train, test), test)
    by_set = [[], []]
    for problem, each in zip(problems, score.tolist(), strict=True):
        by_set[problem.labelled == "two"].append(each)
    assert found["sae_top_3_test_accuracy"].value == pytest.approx(
        np.mean([np.mean(each) for each in by_set])
    )
    assert found["sae_top_3_test_accuracy"].value != found["llm_top_3_test_accuracy"].value  # other draws
