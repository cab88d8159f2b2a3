"""From k-sparse probes to reported numbers: values with intervals, rows per problem and per item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.common.controls import RANDOM, random_metric
from pipeline.metrics.common.number import Metric, Value, missing
from pipeline.metrics.probing.measure import (
    Padded,
    ProbingSection,
    accuracy,
    auc,
    right,
    sparse_logits,
    top_features,
)
from pipeline.stats.intervals import Sums, bootstrap, wilson
from pipeline.tasks.probing.task import ProbingTask

_SPARSE = "test accuracy of {k}-sparse probes on {what} (SAEBench 0.6.0, splits and negatives fixed)"
_MEAN = "mean over a set's classes, then over sets"


@dataclass(frozen=True)
class Probed:
    """The probes of one feature matrix: per k, logits on every problem's test items."""

    logits: dict[int, Tensor]  # (P, M) float64


def metrics(task: ProbingTask, section: ProbingSection) -> list[Metric]:
    """The definitions, for the section's k and the task's sets."""
    found = []
    for k in section.k:
        codes, raw = (_SPARSE.format(k=k, what=what) for what in ("mean codes", "raw residual neurons"))
        found += [
            Metric(f"probing_k{k}", "higher", "accuracy", 1, f"{codes}, {_MEAN}"),
            Metric(
                f"probing_auc_k{k}", "higher", "AUC", 1, f"as probing_k{k}, area under the ROC curve", False
            ),
            Metric(f"raw_neurons_k{k}", "neither", "accuracy", 1, f"baseline: {raw}, {_MEAN}"),
            random_metric(f"probing_k{k}", "accuracy"),
        ]
        for name in sets(task):
            found.append(
                Metric(f"probing_k{k}_{name}", "higher", "accuracy", 1, f"{codes}, set {name}", False)
            )
            found.append(
                Metric(f"raw_neurons_k{k}_{name}", "neither", "accuracy", 1, f"{raw}, set {name}", False)
            )
    dense = (
        "baseline: test accuracy of dense logistic probes on the mean residual, ridge chosen on validation"
    )
    found.append(Metric("raw_dense", "neither", "accuracy", 1, f"{dense}, {_MEAN}"))
    return found + [
        Metric(f"raw_dense_{name}", "neither", "accuracy", 1, f"{dense}, set {name}", False)
        for name in sets(task)
    ]


def sets(task: ProbingTask) -> list[str]:
    """Names of the labelled sets, in the task's order."""
    return list(dict.fromkeys(problem.labelled for problem in task.problems))


def probe(features: Tensor, task: ProbingTask, ks: list[int]) -> Probed:
    """Probes of every k on `features` (X, n), selected and fitted on the training texts."""
    train, test = (Padded.of(task.problems, split) for split in ("train", "test"))
    top = top_features(features, train, min(max(ks), features.shape[1]))
    return Probed({k: sparse_logits(features, top[:, :k], train, test) for k in ks})


def all_missing(task: ProbingTask, section: ProbingSection, reason: str) -> dict[str, Value]:
    """Every metric missing, for one reason."""
    return {metric.name: missing(reason) for metric in metrics(task, section)}


def values(probed: Probed, task: ProbingTask, section: ProbingSection) -> dict[str, Value]:
    """The metrics of one SAE."""
    test = Padded.of(task.problems, "test")
    texts = int(torch.unique(test.text[test.real]).numel())
    found: dict[str, Value] = {}
    for k in section.k:
        found |= _accuracies(f"probing_k{k}", right(probed.logits[k], test), test, task, section)
        found[f"probing_auc_k{k}"] = Value(over_sets(auc(probed.logits[k], test), task), texts)
    return found


def random_values(probed: Probed, task: ProbingTask, section: ProbingSection) -> dict[str, Value]:
    """The metrics of the untrained SAE."""
    measured = values(probed, task, section)
    return {f"probing_k{k}{RANDOM}": measured[f"probing_k{k}"] for k in section.k}


def baselines(raw: Probed, task: ProbingTask, section: ProbingSection) -> dict[str, Value]:
    """The metrics of the raw residual stream, the same beside every SAE."""
    test = Padded.of(task.problems, "test")
    found = _accuracies("raw_dense", dense_right(task, test), test, task, section)
    for k in section.k:
        found |= _accuracies(f"raw_neurons_k{k}", right(raw.logits[k], test), test, task, section)
    return found


def dense_right(task: ProbingTask, test: Padded) -> Tensor:
    """(P, M) bool: the dense probe's right answers, as the task stores them."""
    out = torch.zeros_like(test.real)
    for row, answers in enumerate(task.dense):
        out[row, : len(answers)] = torch.tensor(answers)
    return out


def problem_rows(probed: Probed, raw: Probed, task: ProbingTask) -> list[dict[str, Any]]:
    """One row per problem and k; accuracy with its Wilson interval."""
    test = Padded.of(task.problems, "test")
    dense = dense_right(task, test).sum(-1).double() / test.real.sum(-1)
    rows = []
    for k in probed.logits:
        scores = [
            accuracy(probed.logits[k], test),
            auc(probed.logits[k], test),
            accuracy(raw.logits[k], test),
        ]
        for i, problem in enumerate(task.problems):
            accuracy_, area, neurons = (float(score[i]) for score in scores)
            items = int(test.real[i].sum())
            bounds = wilson(round(accuracy_ * items), items)
            rows.append({
                "set": problem.labelled, "class": problem.positive, "k": k, "items": items,
                "accuracy": accuracy_, "low": bounds.low, "high": bounds.high, "auc": area,
                "raw_neurons": neurons, "raw_dense": float(dense[i]),
            })  # fmt: skip
    return rows


PROBLEM_COLUMNS = [
    "set", "class", "k", "items", "accuracy", "low", "high", "auc", "raw_neurons", "raw_dense",
]  # fmt: skip


def item_columns(ks: list[int]) -> list[str]:
    """Columns of the table of items."""
    return ["set", "class", "text", "truth", *(f"right_k{k}" for k in ks)]


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
) -> dict[str, Value]:
    """The mean over sets under `name`, each set's mean under `name_set`; bootstrap intervals over texts."""
    found = {name: _with_interval(correct, test, task, sets(task), section)}
    for each in sets(task):
        found[f"{name}_{each}"] = _with_interval(correct, test, task, [each], section)
    return found


def _with_interval(
    correct: Tensor, test: Padded, task: ProbingTask, names: list[str], section: ProbingSection
) -> Value:
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

    point = float(statistic({key: column.sum(keepdims=True) for key, column in sums.items()})[0])
    interval = bootstrap(sums, statistic, section.resamples, section.seed)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Value(point, len(texts), None, low, high)


def over_sets(score: Tensor, task: ProbingTask) -> float:
    """The mean of `score` (P,) over each set's problems, then over sets."""
    means = [
        score[[i for i, problem in enumerate(task.problems) if problem.labelled == name]].mean()
        for name in sets(task)
    ]
    return float(torch.stack(means).mean())
