"""k-sparse probing against loops and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pipeline.console.errors import BadInput
from pipeline.metrics.probing.evaluate import counted
from pipeline.metrics.probing.measure import auc, sparse_logits, top_features
from pipeline.metrics.probing.pooling import pooled_codes
from pipeline.metrics.probing.results import (
    baselines,
    item_rows,
    looked_up,
    metrics,
    neurons_of,
    probe,
    problem_rows,
    values,
)
from pipeline.metrics.probing.section import ProbingSection
from pipeline.sae.core.inference import SAE
from pipeline.tasks.probing.dense import dense_logits
from pipeline.tasks.probing.problems import Padded, accuracy, make_problems
from pipeline.tasks.probing.section import ProbingTaskSection
from pipeline.tasks.probing.task import ProbingTask, load_probing, save_probing, text_means
from tests.sae.windows import windowed

SECTION = ProbingTaskSection(seed=1, validation=0.2, test=0.3)
PROBING = ProbingSection(k=[1, 3], resamples=100)


def made_task(classes: int = 3, per_class: int = 30) -> ProbingTask:
    """Two sets: `many` with `classes` classes and `two` with two; tokens carry their class, noisily."""
    g = torch.Generator().manual_seed(0)
    labels = [f"c{i % classes}" for i in range(classes * per_class)]
    pair = ["no" if i % 2 else "yes" for i in range(2 * per_class)]
    kinds = torch.tensor([int(each[1:]) for each in labels] + [classes + (each == "no") for each in pair])
    lengths = torch.randint(1, 9, (len(kinds),), generator=g)
    offsets = torch.tensor([0, *lengths.cumsum(0).tolist()])
    text = torch.repeat_interleave(torch.arange(len(kinds)), lengths)
    x = torch.randn(len(text), 16, generator=g) * 1.5
    x[torch.arange(len(text)), kinds[text]] += 1.5
    problems = make_problems("many", labels, 0, SECTION) + make_problems("two", pair, len(labels), SECTION)
    mean = text_means(x, offsets)
    parts = (Padded.of(problems, split) for split in ("train", "validation", "test"))
    train, validation, test = parts
    logits = dense_logits(mean, train, validation, test)
    dense = [
        ((row > 0) == truth)[real].tolist()
        for row, truth, real in zip(logits, test.truth, test.real, strict=True)
    ]
    return ProbingTask(x, kinds[text], offsets, mean, problems, dense, {"model": "m"})


def test_splits_are_disjoint_balanced_and_fixed() -> None:
    labels = [f"c{i % 4}" for i in range(4 * 40)]
    problems = make_problems("set", labels, 1000, SECTION)
    assert [problem.positive for problem in problems] == ["c0", "c1", "c2", "c3"]
    assert problems == make_problems("set", labels, 1000, SECTION)
    where: dict[int, str] = {}
    for problem in problems:
        for split, items in problem.items.items():
            truth = problem.truth[split]
            assert len(set(items)) == len(items)
            assert sum(truth) * 2 == len(truth)
            for item, positive in zip(items, truth, strict=True):
                assert where.setdefault(item, split) == split
                assert (labels[item - 1000] == problem.positive) is positive
        tests = zip(problem.items["test"], problem.truth["test"], strict=True)
        negatives = [labels[item - 1000] for item, positive in tests if not positive]
        assert max(negatives.count(label) for label in set(negatives)) <= 4  # ceil(12 / 3)
    assert len(problems[0].items["test"]) == 24
    assert len(problems[0].items["validation"]) == 16


def test_two_classes_are_one_problem() -> None:
    assert len(make_problems("set", ["a", "b"] * 20, 0, SECTION)) == 1


def test_labels_that_cannot_be_probed() -> None:
    with pytest.raises(BadInput, match="one class only"):
        make_problems("set", ["a"] * 40, 0, SECTION)
    with pytest.raises(BadInput, match="3 texts of class `b`"):
        make_problems("set", ["a"] * 40 + ["b"] * 3, 0, SECTION)


def test_text_means_and_pooled_codes_are_means_over_tokens() -> None:
    task = made_task()
    g = torch.Generator().manual_seed(0)
    sae = SAE("topk", torch.randn(16, 40, generator=g), torch.randn(40, 16, generator=g), torch.zeros(16),
              torch.zeros(40), k=4)  # fmt: skip
    # longer than one batch of rows
    x, offsets = task.x.repeat(12, 1), torch.cat([task.offsets[:-1] + i * len(task.x) for i in range(12)])
    offsets = torch.cat([offsets, torch.tensor([len(x)])])
    assert len(x) > 4096
    found = pooled_codes(sae, x, offsets)
    dense = sae.encode(x).dense().double().numpy()
    bounds = offsets.tolist()
    for text in (0, 1, 700, len(bounds) - 2):
        expected = dense[bounds[text] : bounds[text + 1]].mean(0)
        np.testing.assert_allclose(found[text], expected, atol=1e-5)
        mean = x[bounds[text] : bounds[text + 1]].double().mean(0)
        np.testing.assert_allclose(text_means(x, offsets)[text], mean, atol=1e-5)


def test_pooled_codes_of_windows_stay_in_their_text() -> None:
    sae, lengths = windowed(tokens=3), torch.tensor([4, 1, 9, 2])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    x = torch.randn(16, sae.d, generator=torch.Generator().manual_seed(0))
    found = pooled_codes(sae, x, offsets)
    for text, own in enumerate(x.split(lengths.tolist())):
        expected = sae.encode(own, torch.arange(len(own))).dense().mean(0)
        torch.testing.assert_close(found[text], expected, atol=1e-5, rtol=1e-5)


def test_sparse_probes_equal_scikit_learn() -> None:
    task = made_task()
    train, test = (Padded.of(task.problems, split) for split in ("train", "test"))
    features = task.mean.double().numpy()
    for k in (1, 3):
        top = top_features(task.mean, train, k)
        logits = sparse_logits(task.mean, top, train, test)
        for p, problem in enumerate(task.problems):
            rows, y = problem.items["train"], np.array(problem.truth["train"])
            difference = np.abs(features[rows][y].mean(0) - features[rows][~y].mean(0))
            assert set(top[p].tolist()) == set(np.argsort(-difference)[:k].tolist())
            columns = top[p].numpy()
            model = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000)
            model.fit(features[rows][:, columns], y)
            items, truth = problem.items["test"], problem.truth["test"]
            expected = model.decision_function(features[items][:, columns])
            np.testing.assert_allclose(logits[p][test.real[p]], expected, atol=1e-5)
            assert float(accuracy(logits, test)[p]) == pytest.approx(np.mean((expected > 0) == truth))
            assert float(auc(logits, test)[p]) == pytest.approx(roc_auc_score(truth, expected))


def test_auc_counts_ties_as_half() -> None:
    items = Padded(torch.zeros(1, 4, dtype=torch.int64), torch.tensor([[True, True, False, False]]),
                   torch.tensor([[True, True, True, True]]))  # fmt: skip
    assert float(auc(torch.tensor([[1.0, 0.0, 0.0, -1.0]]), items)) == pytest.approx(3.5 / 4)


def test_the_dense_probe_never_looks_at_test_labels() -> None:
    task = made_task()
    train, validation, test = (Padded.of(task.problems, split) for split in ("train", "validation", "test"))
    logits = dense_logits(task.mean, train, validation, test)
    flipped = Padded(test.text, ~test.truth, test.real)
    torch.testing.assert_close(dense_logits(task.mean, train, validation, flipped), logits, rtol=0, atol=0)
    assert float(accuracy(logits, test).mean()) > 0.75


def test_an_oracle_latent_scores_one_and_results_are_complete(tmp_path: Path) -> None:
    task = made_task()
    labels = torch.zeros(len(task.mean), 6)
    for p, problem in enumerate(task.problems):
        for split in problem.items:
            for item, up in zip(problem.items[split], problem.truth[split], strict=True):
                labels[item, p] = 5.0 * up
    oracle, raw = probe(labels, task, [1, 3]), probe(task.mean, task, [1, 3])
    found = values(oracle, task, PROBING) | baselines(raw, task, PROBING)
    assert found["probing_k1"].value == 1
    assert found["probing_auc_k3"].value == 1
    assert found["probing_k1"].low == 1
    assert found["probing"].value == pytest.approx((1 + found["probing_k3"].value) / 2)
    curve = ["probing", *(f"probing_k{k}" for k in PROBING.k)]
    controls = {f"{name}_{of}" for name in curve for of in ("random_sae", "token_lookup")}
    assert set(found) | controls == {metric.name for metric in metrics(task, PROBING)}
    neurons = found["raw_neurons_k1"]
    assert neurons.value is not None
    assert neurons.low is not None
    assert neurons.high is not None
    assert neurons.low < neurons.value < neurons.high
    by_hand = {"many": [], "two": []}  # type: dict[str, list[float]]
    for each in problem_rows(raw, neurons_of(raw, task), task):
        if each["k"] == 1:
            by_hand[each["set"]].append(each["accuracy"])
    expected = np.mean([np.mean(each) for each in by_hand.values()])
    assert neurons.value == pytest.approx(expected)
    assert len(item_rows(oracle, task)) == sum(len(problem.items["test"]) for problem in task.problems)
    save_probing(tmp_path, task)
    again = load_probing(tmp_path)
    assert again.problems == task.problems
    assert again.dense == task.dense
    reloaded = values(oracle, again, PROBING) | baselines(raw, again, PROBING)
    assert reloaded == found


def test_the_token_lookup_is_probed_by_what_words_a_text_has() -> None:
    """Every token of a class has its own id, so that one count tells the class; test texts fit nothing."""
    task = made_task()
    found = counted(task)
    text = torch.repeat_interleave(torch.arange(len(task.mean)), task.offsets.diff())
    trained = {item for problem in task.problems for item in problem.items["train"]}
    rows = torch.tensor([int(each) in trained for each in text])
    for kind in task.ids.unique().tolist():
        size = (task.x[rows & (task.ids == kind)].mean(0) - task.x[rows].mean(0)).norm()
        share = torch.stack([(task.ids[text == each] == kind).double().mean() for each in range(len(found))])
        torch.testing.assert_close(found[:, kind].double(), share * size.double(), rtol=1e-4, atol=1e-5)
    numbers = looked_up(probe(found, task, [1, 3]), task, PROBING)
    assert numbers["probing_k1_token_lookup"].value == 1
    assert set(numbers) == {f"{name}_token_lookup" for name in ("probing", "probing_k1", "probing_k3")}


def test_absent_task(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="probing_task"):
        load_probing(tmp_path)


@pytest.mark.parametrize("k", [[], [0, 1], [2, 1], [1, 1]])
def test_k_must_ascend(k: list[int]) -> None:
    with pytest.raises(BadInput, match=r"probing\.k"):
        ProbingSection.parse({"k": k}, "probing")
