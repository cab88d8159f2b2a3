"""From k-sparse probes to reported numbers: values with intervals, rows per problem and per item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.common.controls import DENSE_ROW, LOOKUP, NEURON_ROW, of_lookup, of_untrained
from pipeline.metrics.common.resampling import Resampling, estimate
from pipeline.metrics.probing.measure import auc, sparse_logits, top_features
from pipeline.metrics.probing.section import ProbingSection
from pipeline.numbers.definition import Definition, Headline, Items, Reference
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns
from pipeline.stats.intervals import Sums, wilson
from pipeline.tasks.probing.problems import Padded, accuracy, right
from pipeline.tasks.probing.task import ProbingTask

Neurons = Mapping[str, Sequence[float]]
"""By k: the accuracy of the raw residual's probes on each problem."""

_SPARSE = "test accuracy of {k}-sparse probes on {what} (SAEBench 0.6.0, splits and negatives fixed)"
_MEAN = "mean over a set's classes, then over sets"
_DENSE = "baseline: test accuracy of dense logistic probes on the mean residual, ridge chosen on validation, "


@dataclass(frozen=True)
class Probed:
    """The probes of one feature matrix: per k, logits on every problem's test items."""

    logits: dict[int, Tensor]  # (P, M) float64


PROBING, RAW = "probing", "raw_neurons"
"""The mean over k of an SAE and of the raw residual; with `_k{k}`, of one k; with `_{set}`, on one set."""

ITEMS = "items.tsv"
"""The table of items: whether each probe is right on each test text."""


def metrics(task: ProbingTask, section: ProbingSection) -> list[Definition]:
    """The definitions, for the section's k and the task's sets; the mean over k stands in the table.

    No single k is chosen: with few latents an untrained SAE is as good as a trained one, with many all reach
    the dense probe, and where between the methods part differs from text to text.
    """
    main = Definition(
        PROBING, "higher", "accuracy", 1, f"mean of probing_k over k of {_listed(section.k)} (ours)",
        headline=Headline(
            PROBING, "probing", 70,
            items=Items(
                ITEMS, "text", "texts", {f"right_k{k}": 1 / len(section.k) for k in section.k},
                groups=("set", "class"),
            ),
        ),
    )  # fmt: skip
    neuron, dense = (Reference(row, PROBING, order) for row, order in (NEURON_ROW, DENSE_ROW))
    raw = Definition(
        RAW, "neither", "accuracy", 1, "baseline: probing of raw residual neurons", reference=neuron
    )
    found = [
        main, of_untrained(main), of_lookup(main), *_by_set(main, task),
        raw, *_by_set(raw, task),
        Definition("raw_dense", "neither", "accuracy", 1, _DENSE + _MEAN, reference=dense),
        *(_detail(f"raw_dense_{name}", f"{_DENSE}set {name}") for name in sets(task)),
    ]  # fmt: skip
    for k in section.k:
        found += _of_k(k, task)
    return found


def _of_k(k: int, task: ProbingTask) -> list[Definition]:
    codes, raw = (_SPARSE.format(k=k, what=what) for what in ("mean codes", "raw residual neurons"))
    main = Definition(f"{PROBING}_k{k}", "higher", "accuracy", 1, f"{codes}, {_MEAN}")
    neurons = Definition(f"{RAW}_k{k}", "neither", "accuracy", 1, f"baseline: {raw}, {_MEAN}")
    area = Definition(
        f"{PROBING}_auc_k{k}", "higher", "AUC", 1, f"as probing_k{k}, area under the ROC curve", False
    )
    beside = [of_untrained(main), of_lookup(main)]
    return [main, *beside, area, neurons, *_by_set(main, task), *_by_set(neurons, task)]


def _by_set(metric: Definition, task: ProbingTask) -> list[Definition]:
    """`metric` on each set alone."""
    text = metric.definition.removesuffix(f", {_MEAN}")
    return [
        replace(metric, name=f"{metric.name}_{name}", definition=f"{text}, set {name}", aggregate=False,
                headline=None, reference=None)
        for name in sets(task)
    ]  # fmt: skip


def _detail(name: str, definition: str) -> Definition:
    return Definition(name, "neither", "accuracy", 1, definition, aggregate=False)


def _listed(ks: Sequence[int]) -> str:
    return ", ".join(map(str, ks))


def sets(task: ProbingTask) -> list[str]:
    """Names of the labelled sets, in the task's order."""
    return list(dict.fromkeys(problem.labelled for problem in task.problems))


def probe(features: Tensor, task: ProbingTask, ks: list[int]) -> Probed:
    """Probes of every k on `features` (X, n), selected and fitted on the training texts."""
    train, test = (Padded.of(task.problems, split) for split in ("train", "test"))
    top = top_features(features, train, min(max(ks), features.shape[1]))
    return Probed({k: sparse_logits(features, top[:, :k], train, test) for k in ks})


def values(probed: Probed, task: ProbingTask, section: ProbingSection) -> dict[str, Number]:
    """The metrics of one SAE."""
    test = Padded.of(task.problems, "test")
    texts = int(torch.unique(test.text[test.real]).numel())
    found = _curve(PROBING, probed, test, task, section)
    for k in section.k:
        found[f"{PROBING}_auc_k{k}"] = Number(over_sets(auc(probed.logits[k], test), task), texts)
    return found


def baselines(raw: Probed, task: ProbingTask, section: ProbingSection) -> dict[str, Number]:
    """The metrics of the raw residual stream, the same beside every SAE."""
    test = Padded.of(task.problems, "test")
    dense = _accuracies("raw_dense", dense_right(task, test), test, task, section)
    return dense | _curve(RAW, raw, test, task, section)


def looked_up(probed: Probed, task: ProbingTask, section: ProbingSection) -> dict[str, Number]:
    """The metrics of the token lookup, under their names as a control."""
    found = _curve(PROBING, probed, Padded.of(task.problems, "test"), task, section)
    names = [PROBING, *(f"{PROBING}_k{k}" for k in section.k)]
    return {f"{name}{LOOKUP}": found[name] for name in names}


def _curve(
    name: str, probed: Probed, test: Padded, task: ProbingTask, section: ProbingSection
) -> dict[str, Number]:
    """The accuracies `name_k` of every k, and their mean as `name`."""
    answers = {k: right(probed.logits[k], test) for k in section.k}
    mean = torch.stack([each.double() for each in answers.values()]).mean(0)
    found = _accuracies(name, mean, test, task, section)
    for k, each in answers.items():
        found |= _accuracies(f"{name}_k{k}", each, test, task, section)
    return found


def dense_right(task: ProbingTask, test: Padded) -> Tensor:
    """(P, M) bool: the dense probe's right answers, as the task stores them."""
    out = torch.zeros_like(test.real)
    for row, answers in enumerate(task.dense):
        out[row, : len(answers)] = torch.tensor(answers)
    return out


def problem_rows(probed: Probed, neurons: Neurons, task: ProbingTask) -> list[dict[str, Any]]:
    """One row per problem and k; accuracy with its Wilson interval, beside the raw residual's."""
    test = Padded.of(task.problems, "test")
    dense = dense_right(task, test).sum(-1).double() / test.real.sum(-1)
    rows = []
    for k in probed.logits:
        right_, area = accuracy(probed.logits[k], test), auc(probed.logits[k], test)
        for i, problem in enumerate(task.problems):
            items = int(test.real[i].sum())
            bounds = wilson(round(float(right_[i]) * items), items)
            rows.append({
                "set": problem.labelled, "class": problem.positive, "k": k, "items": items,
                "accuracy": float(right_[i]), "low": bounds.low, "high": bounds.high, "auc": float(area[i]),
                "raw_neurons": neurons[str(k)][i], "raw_dense": float(dense[i]),
            })  # fmt: skip
    return rows


def neurons_of(raw: Probed, task: ProbingTask) -> Neurons:
    """The accuracy of the raw residual's probes."""
    test = Padded.of(task.problems, "test")
    return {str(k): accuracy(logits, test).tolist() for k, logits in raw.logits.items()}


def tables(ks: list[int]) -> dict[str, Columns]:
    """The tables for probes with `ks` latents."""
    return {
        "problems.tsv": {
            "set": str, "class": str, "k": int, "items": int, "accuracy": float, "low": float, "high": float,
            "auc": float, "raw_neurons": float, "raw_dense": float,
        },
        ITEMS: {"set": str, "class": str, "text": int, "truth": int, **{f"right_k{k}": int for k in ks}},
    }  # fmt: skip


def item_rows(probed: Probed, task: ProbingTask) -> list[dict[str, Any]]:
    """One row per test item and problem, in the task's order: the items of paired comparisons."""
    test = Padded.of(task.problems, "test")
    answers = {f"right_k{k}": right(logits, test).int().tolist() for k, logits in probed.logits.items()}
    return [
        {
            "set": problem.labelled, "class": problem.positive, "text": text,
            "truth": int(problem.truth["test"][place]),
            **{name: answer[i][place] for name, answer in answers.items()},
        }
        for i, problem in enumerate(task.problems)
        for place, text in enumerate(problem.items["test"])
    ]  # fmt: skip


def _accuracies(
    name: str, correct: Tensor, test: Padded, task: ProbingTask, section: ProbingSection
) -> dict[str, Number]:
    """The mean over sets under `name`, each set's mean under `name_set`; bootstrap intervals over texts."""
    found = {name: _with_interval(correct, test, task, sets(task), section)}
    for each in sets(task):
        found[f"{name}_{each}"] = _with_interval(correct, test, task, [each], section)
    return found


def _with_interval(
    correct: Tensor, test: Padded, task: ProbingTask, names: list[str], section: ProbingSection
) -> Number:
    members = {
        name: [i for i, problem in enumerate(task.problems) if problem.labelled == name] for name in names
    }
    rows = [i for each in members.values() for i in each]
    texts, place = torch.unique(test.text[rows][test.real[rows]], return_inverse=True)
    sums: dict[str, np.ndarray] = {}
    start = 0
    for i in rows:
        here = place[start : (start := start + int(test.real[i].sum()))]
        sums[f"n{i}"] = np.bincount(here.numpy(), minlength=len(texts)).astype(np.float64)
        hits = correct[i][test.real[i]].double().numpy()
        sums[f"s{i}"] = np.bincount(here.numpy(), weights=hits, minlength=len(texts))

    def statistic(total: Sums) -> np.ndarray:
        means = [
            np.mean([total[f"s{i}"] / total[f"n{i}"] for i in problems], axis=0)
            for problems in members.values()
        ]
        return np.mean(means, axis=0)

    return estimate(sums, statistic, len(texts), Resampling(section.resamples, section.seed))


def over_sets(score: Tensor, task: ProbingTask) -> float:
    """The mean of `score` (P,) over each set's problems, then over sets."""
    means = [
        score[[i for i, problem in enumerate(task.problems) if problem.labelled == name]].mean()
        for name in sets(task)
    ]
    return float(torch.stack(means).mean())
