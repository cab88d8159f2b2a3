"""Probing problems: one class of a labelled set against the rest, with as many negatives as positives.

Items are drawn once and stored, so that every SAE, every k and every rerun see the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from random import Random

import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.tasks.probing.section import FEWEST, ProbingTaskSection

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Problem:
    """One class against the rest: its items in each split, positives first; indices of texts."""

    labelled: str  # name of the set
    positive: str  # the class
    items: dict[str, list[int]]  # by split
    truth: dict[str, list[bool]]


@dataclass(frozen=True)
class Padded:
    """The items of P problems of one split, padded to equal length M."""

    text: Tensor  # (P, M) int64
    truth: Tensor  # (P, M) bool
    real: Tensor  # (P, M) bool: false at padding

    @classmethod
    def of(cls, problems: list[Problem], split: str) -> Padded:
        """The items of `split`."""
        longest = max(len(problem.items[split]) for problem in problems)
        shape = (len(problems), longest)
        text, truth, real = (
            torch.zeros(shape, dtype=dtype) for dtype in (torch.int64, torch.bool, torch.bool)
        )
        for row, problem in enumerate(problems):
            count = len(problem.items[split])
            text[row, :count] = torch.tensor(problem.items[split])
            truth[row, :count] = torch.tensor(problem.truth[split])
            real[row, :count] = True
        return cls(text, truth, real)


def right(logits: Tensor, items: Padded) -> Tensor:
    """(P, M) bool: whether the sign of the logit is right; false at padding."""
    return ((logits > 0) == items.truth) & items.real


def accuracy(logits: Tensor, items: Padded) -> Tensor:
    """(P,) float64."""
    return right(logits, items).sum(-1).double() / items.real.sum(-1)


def split_class(members: list[int], validation: float, test: float, rng: Random) -> dict[str, list[int]]:
    """A class's texts dealt to train, validation and test."""
    order = rng.sample(members, len(members))
    tests, held = max(round(len(order) * test), 1), max(round(len(order) * validation), 1)
    parts = {"test": order[:tests], "validation": order[tests : tests + held], "train": order[tests + held :]}
    return {name: sorted(part) for name, part in parts.items()}


def make_problems(name: str, labels: list[str], first: int, section: ProbingTaskSection) -> list[Problem]:
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
