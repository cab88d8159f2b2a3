"""The labelled sets on disk: token activations, labels, splits and the fixed items of every probe.

`probing.safetensors` holds the residual stream of every text's tokens once; a set is a range of texts. A
*problem* is one class of a set against the rest, with as many negatives as positives, drawn once and
stored, so that every SAE, every k and every rerun see the same items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.numbers.files import damaged
from pipeline.tasks.common.disk import load_facts, load_tensors, save
from pipeline.tasks.probing.problems import Problem

NAME, STAGE = "probing", "probing_task"
FIELDS = ("x", "ids", "offsets", "mean")


@dataclass(frozen=True)
class ProbingTask:
    """All of sparse probing that no SAE changes; N tokens of X texts."""

    x: Tensor  # (N, d) float32: residual stream of the texts' tokens, special tokens left out
    ids: Tensor  # (N,) int64: which token each row is
    offsets: Tensor  # (X + 1,) int64: text i owns rows offsets[i]:offsets[i + 1]
    mean: Tensor  # (X, d) float32: mean of each text's rows
    problems: list[Problem]
    dense: list[list[bool]]  # per problem: whether the dense probe is right on each test item
    facts: dict[str, Any]


def save_probing(folder: Path, task: ProbingTask) -> None:
    """Write the task."""
    problems = [
        {**vars(problem), "dense": right} for problem, right in zip(task.problems, task.dense, strict=True)
    ]
    tensors = {name: getattr(task, name) for name in FIELDS}
    save(folder, NAME, tensors, {"problems": problems, "facts": task.facts})


def load_probing(folder: Path) -> ProbingTask:
    """The task in `folder`; raises BadInput when it is absent or damaged."""
    stored, tensors = load_facts(folder, NAME, STAGE), load_tensors(folder, NAME, STAGE, FIELDS)
    try:
        dense = [problem.pop("dense") for problem in stored["problems"]]
        problems = [Problem(**problem) for problem in stored["problems"]]
        return ProbingTask(**tensors, problems=problems, dense=dense, facts=stored["facts"])
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(folder / f"{NAME}.json", STAGE, error) from None


def text_means(x: Tensor, offsets: Tensor) -> Tensor:
    """(X, d): the mean of each text's rows; zero for a text without rows."""
    return torch.segment_reduce(x, "mean", offsets=offsets, initial=0)
