"""Exact absorption on the language model's activations: parents and children planted in the text.

As in ground truth, with labels in place of true features: a parent's latent and its children's are those that
fire best with the labels on the other half of the documents, and the parent is absorbed by a child as far as
its latent is silent more often where the child is there and its latent on than with the sibling that it is
missed with least (chosen on the other half). Against all siblings, one absorbed child would count as much
for absorption as its siblings count against it, and a parent's mean would be zero whatever happens. The
sibling itself is not compared: the mean is over the parent's other children.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.metrics.slow_states.estimates import Estimate, mean
from pipeline.metrics.slow_states.fired import Fired
from pipeline.metrics.slow_states.labels import Labels, State

OWNED = 0.2
"""Hits minus false alarms above which a latent is a parent's or a child's own: balanced accuracy .6."""

FEWEST = 20
"""Tokens on either side below which a child is left out."""


@dataclass(frozen=True)
class Pair:
    """One child and its parent, each with its latent, on one half."""

    child: int
    parent: int
    sibling: int  # the child of this parent with which its latent is silent least
    half: int
    child_latent: int
    parent_latent: int
    child_hit: float  # share of the child's tokens minus share of its siblings' at which its latent is on
    parent_hit: float


@dataclass(frozen=True)
class Absorbed:
    """How often a parent's latent is silent, with one child and with another."""

    family: str  # the child's state
    pair: Pair
    tokens: int  # with the child and its latent on
    with_child: float
    otherwise: float  # with the sibling, whatever the child's latent does
    found: Estimate  # their difference at equal company


def absorbed(fired: Fired, labels: Labels, orders: Mapping[str, np.ndarray] | None = None) -> list[Absorbed]:
    """All children but the sibling that have a latent of their own, under parents that have one.

    With `orders` (control), each token has the parent's silence of another one, family by family.
    """
    found = []
    for parent, child in labels.families():
        order = orders[child.name] if orders else np.arange(fired.tokens)
        for pair in pairs(fired, labels, parent, child):
            if pair.parent_hit >= OWNED and pair.child_hit >= OWNED and pair.child != pair.sibling:
                one = _absorbed(fired, labels, child, pair, order, parent.label == pair.parent)
                found += [one] if one else []
    return found


def over_families(found: list[Absorbed], labels: Labels) -> Estimate | None:
    """The mean over a parent's other children and halves, then a family's parents, then families."""
    families = []
    for _, child in labels.families():
        own = [each for each in found if each.family == child.name]
        parents = sorted({each.pair.parent for each in own})
        of = [mean([each.found for each in own if each.pair.parent == parent]) for parent in parents]
        families += [whole] if (whole := mean([each for each in of if each])) else []
    return mean(families)


def dealt_anew(labels: Labels, seed: int) -> dict[str, np.ndarray]:
    """By family, an order (N,) of the tokens that mixes those of equal parent and company (control)."""
    rng, orders = np.random.default_rng(seed), {}
    for parent, child in labels.families():
        group = np.unique(np.stack([parent.label, labels.company, labels.half]), axis=1, return_inverse=True)[
            1
        ]
        group = group.reshape(-1)
        order = np.empty(len(group), dtype=np.int64)
        order[np.argsort(group, kind="stable")] = np.lexsort((rng.random(len(group)), group))
        orders[child.name] = order
    return orders


def pairs(fired: Fired, labels: Labels, parent: State, child: State) -> Iterator[Pair]:
    """Every child with its parent and the latents chosen on the other half, never the same for both."""
    for half in (0, 1):
        which = labels.within(child, 1 - half) & (parent.label >= 0)
        if not which.any():
            continue
        over = parent_of(parent, child, which)
        on = fired.counts(which, child.label, child.values)
        size = np.bincount(child.label[which], minlength=child.values)
        family = np.stack([over == value for value in range(parent.values)], 1)  # (children, parents)
        hit = _excess(on @ family, on.sum(1, keepdims=True), size @ family, size.sum())
        hit[~_of_several(on, size, family)] = -1
        parents = hit.argmax(0)
        known = np.flatnonzero(size)
        for each in known:
            group = over == over[each]
            heard = np.where(group & (size >= FEWEST), on[parents[over[each]]] / np.maximum(size, 1), -1.0)
            excess = _excess(
                on[:, [each]], on[:, group].sum(1, keepdims=True), size[[each]], size[group].sum()
            )[:, 0]
            excess[parents[over[each]]] = -1
            best = int(excess.argmax())
            yield Pair(
                int(each), int(over[each]), int(heard.argmax()), half, best, int(parents[over[each]]),
                float(excess[best]), float(hit[parents[over[each]], over[each]]),
            )  # fmt: skip


def parent_of(parent: State, child: State, which: np.ndarray) -> np.ndarray:
    """(children,): the value of `parent` at most of a child's tokens; -1 for a child that is not there."""
    cell = child.label[which] * parent.values + parent.label[which]
    table = np.bincount(cell, minlength=child.values * parent.values).reshape(child.values, parent.values)
    return np.where(table.any(1), table.argmax(1), -1)


def _of_several(on: np.ndarray, size: np.ndarray, family: np.ndarray) -> np.ndarray:
    """(n, parents) bool: whether a latent hears at least two children of a parent, from counts (n, children).

    A child's own latent has hits enough for a parent of few children, and hears none of the others (ours).
    """
    rate = np.where(size >= FEWEST, on / np.maximum(size, 1), 0.0)
    inside = np.where(family.T, rate[:, None], 0.0)  # (n, parents, children)
    second = np.sort(np.pad(inside, ((0, 0), (0, 0), (1, 0))), axis=-1)[..., -2]
    outside = on @ ~family / np.maximum(size @ ~family, 1)
    return second - outside >= OWNED


def _excess(on: np.ndarray, on_all: np.ndarray, size: np.ndarray, size_all: float) -> np.ndarray:
    """(n, V): P(on | the value) - P(on | another), from counts; -1 where one side is empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = on / size - (on_all - on) / (size_all - size)
    return np.nan_to_num(found, nan=-1.0, posinf=-1.0, neginf=-1.0)


def _absorbed(
    fired: Fired, labels: Labels, child: State, pair: Pair, order: np.ndarray, family: np.ndarray
) -> Absorbed | None:
    which = labels.within(child, pair.half) & family
    silent = (fired.column(pair.parent_latent) == 0)[order]
    on, own = fired.column(pair.child_latent) > 0, child.label == pair.child
    case, other = which & own & on, which & (child.label == pair.sibling)
    if min(case.sum(), other.sum()) < FEWEST:
        return None
    difference = risk_difference(silent, case, other, labels)
    if difference is None:
        return None
    return Absorbed(
        child.name, pair, int(case.sum()), float(silent[case].mean()), float(silent[other].mean()), difference
    )


def risk_difference(
    silent: np.ndarray, case: np.ndarray, other: np.ndarray, labels: Labels
) -> Estimate | None:
    """P(silent | case) - P(silent | other) within tokens of equal company (Mantel and Haenszel).

    All (N,) bool. None where no company is on both sides. The weights n1 n0 / (n1 + n0) are taken as given.
    """
    company, size = labels.company, int(labels.company.max()) + 1
    n, hits = (
        [np.bincount(company[side & and_], minlength=size) for side in (case, other)]
        for and_ in (np.ones_like(silent), silent)
    )
    weight = n[0] * n[1] / np.maximum(n[0] + n[1], 1)
    if not weight.any():
        return None
    weight = weight / weight.sum()
    rate = [each / np.maximum(count, 1) for each, count in zip(hits, n, strict=True)]
    influence = np.zeros(len(silent))
    for side, sign, of, count in zip((case, other), (1, -1), rate, n, strict=True):
        here = company[side]
        influence[side] += sign * weight[here] / count[here] * (silent[side] - of[here])
    moved = np.bincount(labels.document, influence, labels.documents)
    return Estimate(float((weight * (rate[0] - rate[1])).sum()), moved)
