"""The labelled sets on disk: token activations, labels, splits and the fixed items of every probe.

`probing.safetensors` holds the residual stream of every text's tokens once; a set is a range of texts. A
*problem* is one class of a set against the rest, with as many negatives as positives, drawn once and
stored, so that every SAE, every k and every rerun see the same items.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.params import Section

TENSORS, FACTS = "probing.safetensors", "probing.json"
FIELDS = ("x", "offsets", "mean")
SPLITS = ("train", "validation", "test")
FEWEST = 10
"""Texts a class needs, so that each split has some."""


class LabelledSection(Section):
    """`tasks.probing`: which labelled texts are kept, and how they are split."""

    seed: int = Field(0, ge=0, description="seed of the texts, the splits and the negatives")
    per_class: int = Field(150, ge=FEWEST, description="texts per class at most")
    max_tokens: int = Field(
        128, ge=4, description="tokens per text at most, BOS included; the rest is cut off"
    )
    validation: float = Field(
        0.1, gt=0, lt=0.5, description="share of each class's texts, for choosing probes"
    )
    test: float = Field(0.4, gt=0, lt=0.8, description="share of each class's texts, for the reported scores")


@dataclass(frozen=True)
class Problem:
    """One class against the rest: its items in each split, positives first; indices of texts."""

    labelled: str  # name of the set
    positive: str  # the class
    items: dict[str, list[int]]  # by split
    truth: dict[str, list[bool]]


@dataclass(frozen=True)
class ProbingTask:
    """All of sparse probing that no SAE changes; N tokens of X texts."""

    x: Tensor  # (N, d) float32: residual stream of the texts' tokens, special tokens left out
    offsets: Tensor  # (X + 1,) int64: text i owns rows offsets[i]:offsets[i + 1]
    mean: Tensor  # (X, d) float32: mean of each text's rows
    problems: list[Problem]
    dense: list[list[bool]]  # per problem: whether the dense probe is right on each test item
    facts: dict[str, Any]


def split_class(members: list[int], validation: float, test: float, rng: Random) -> dict[str, list[int]]:
    """A class's texts dealt to train, validation and test."""
    order = rng.sample(members, len(members))
    tests, held = max(round(len(order) * test), 1), max(round(len(order) * validation), 1)
    parts = {"test": order[:tests], "validation": order[tests : tests + held], "train": order[tests + held :]}
    return {name: sorted(part) for name, part in parts.items()}


def make_problems(name: str, labels: list[str], first: int, section: LabelledSection) -> list[Problem]:
    """The problems of one set whose texts are numbered from `first`; one for a set of two classes.

    Per split, negatives are ceil(P / (C - 1)) random texts of each other class, cut to the P positives
    (SAEBench's rule; SAEBench draws them again on every call). Raises BadInput for a set with one class or
    a class with too few texts.
    """
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise BadInput(f"Labelled set `{name}` has one class only: add texts with another label.")
    rng = Random(f"probing {name} {section.seed}")
    parts = {}
    for each in classes:
        members = [first + i for i, label in enumerate(labels) if label == each]
        if len(members) < FEWEST:
            raise BadInput(
                f"Labelled set `{name}` has {len(members)} texts of class `{each}`: {FEWEST} are needed; "
                "add some or leave the class out."
            )
        parts[each] = split_class(members, section.validation, section.test, rng)
    # against each other, two classes are one problem: the second probe would be the first one negated
    return [_problem(name, each, parts, rng) for each in (classes if len(classes) > 2 else classes[1:])]


def _problem(name: str, positive: str, parts: dict[str, dict[str, list[int]]], rng: Random) -> Problem:
    items, truth = {}, {}
    for split in SPLITS:
        own = parts[positive][split]
        share = ceil(len(own) / (len(parts) - 1))
        rest: list[int] = []
        for other in sorted(parts):
            if other != positive:
                rest += rng.sample(parts[other][split], min(share, len(parts[other][split])))
        rest = sorted(rng.sample(rest, min(len(own), len(rest))))
        items[split], truth[split] = own + rest, [True] * len(own) + [False] * len(rest)
    return Problem(name, positive, items, truth)


def save_probing(folder: Path, task: ProbingTask) -> None:
    """Write the task."""
    save_file({field: getattr(task, field).contiguous() for field in FIELDS}, folder / TENSORS)
    problems = [
        {**vars(problem), "dense": right} for problem, right in zip(task.problems, task.dense, strict=True)
    ]
    text = json.dumps({"problems": problems, "facts": task.facts}, sort_keys=True, allow_nan=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")


def load_probing(folder: Path) -> ProbingTask:
    """The task in `folder`; raises BadInput when it is absent or damaged."""
    try:
        stored = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tensors: dict[str, Tensor] = load_file(folder / TENSORS)
        dense = [problem.pop("dense") for problem in stored["problems"]]
        problems = [Problem(**problem) for problem in stored["problems"]]
        return ProbingTask(**{field: tensors[field] for field in FIELDS}, problems=problems, dense=dense,
                           facts=stored["facts"])  # fmt: skip
    except FileNotFoundError as error:
        raise BadInput(f"{error.filename} is missing: run `python -m pipeline probing_task` first.") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} is damaged ({error}): run `dvc repro -f probing_task`.") from None


def text_means(x: Tensor, offsets: Tensor) -> Tensor:
    """(X, d): the mean of each text's rows; zero for a text without rows."""
    return torch.segment_reduce(x, "mean", offsets=offsets, initial=0)
