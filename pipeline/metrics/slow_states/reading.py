"""What single columns say of a state: one score per token and value, chosen on the other half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.slow_states.estimates import Estimate
from pipeline.metrics.slow_states.fired import Fired
from pipeline.metrics.slow_states.labels import Labels, State


@dataclass(frozen=True)
class Reading:
    """Scores of one state: `score[h]` (N, V) is chosen or fitted on the documents of half 1 - h.

    `column[h]` (V,): which column each is, where it is one of many; else empty.
    """

    state: State
    score: tuple[np.ndarray, np.ndarray]
    column: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Candidates:
    """All latents against all values of a state: AUC (n, V) and firing rate (n,) by half of the documents."""

    state: State
    auc: tuple[np.ndarray, np.ndarray]
    rate: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, fired: Fired, labels: Labels, state: State) -> Candidates:
        """A value without an AUC has that of chance."""
        within = [labels.within(state, half) for half in (0, 1)]
        aucs = [np.nan_to_num(fired.aucs(which, state.label, state.values), nan=0.5) for which in within]
        rates = [fired.ranks(which).rate for which in within]
        return cls(state, (aucs[0], aucs[1]), (rates[0], rates[1]))

    def best(self, fired: Fired, densest: float = 1.0) -> Reading:
        """For each value the latent of largest AUC, of those on at no more than `densest` of the tokens."""
        chosen = [
            np.where((self.rate[1 - half] > densest)[:, None], -1.0, self.auc[1 - half]).argmax(0)
            for half in (0, 1)
        ]
        score = [np.stack([fired.column(int(latent)) for latent in each], 1) for each in chosen]
        return Reading(self.state, (score[0], score[1]), (chosen[0], chosen[1]))


@dataclass(frozen=True)
class Auc:
    """How well one value is told from the others on one half."""

    value: int
    half: int
    found: Estimate


def aucs(reading: Reading, labels: Labels) -> list[Auc]:
    """One per value and half in which some labelled tokens have it and some have not.

    None of a half whose columns had no labelled token of the other half to be chosen on.
    """
    found, state = [], reading.state
    for half in (0, 1):
        if not labels.within(state, 1 - half).any():
            continue
        place = np.flatnonzero(labels.within(state, half))
        label, document = state.label[place], labels.document[place]
        for value in range(state.values):
            positive = label == value
            if 0 < positive.sum() < len(positive):
                auc, influence = roc(reading.score[half][place, value], positive)
                moved = np.bincount(document, influence, labels.documents)
                found.append(Auc(value, half, Estimate(auc, moved)))
    return found


def roc(score: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """The area under the ROC curve of `score` (n,) for `positive` (n,) bool, and each token's influence."""
    group, groups = distinct(score)
    ups, downs = (np.bincount(group[which], minlength=groups) for which in (positive, ~positive))
    total_up, total_down = ups.sum(), downs.sum()
    below = (downs.cumsum() - downs / 2) / total_down  # of a positive: the share of negatives below it
    above = (total_up - ups.cumsum() + ups / 2) / total_up
    auc = float((ups * below).sum() / total_up)
    influence = np.where(positive, (below[group] - auc) / total_up, (above[group] - auc) / total_down)
    return auc, influence


def threshold(score: np.ndarray, positive: np.ndarray) -> float:
    """The score above which a token counts as positive, by balanced accuracy; the lowest of ties."""
    group, groups = distinct(score)
    ups, downs = (np.bincount(group[which], minlength=groups) for which in (positive, ~positive))
    above = [1 - each.cumsum() / max(each.sum(), 1) for each in (ups, downs)]
    values = np.empty(groups)
    values[group] = score
    return float(values[np.argmax(np.round(above[0] - above[1], 12))])


def distinct(score: np.ndarray) -> tuple[np.ndarray, int]:
    """(n,) the rank of each score among the distinct ones, from 0, and how many there are.

    Where nothing is negative only what is not zero is sorted: codes are mostly zero.
    """
    active = np.flatnonzero(score)
    if len(active) == len(score) or score.min(initial=0) < 0:
        values, group = np.unique(score, return_inverse=True)
        return group, len(values)
    values, place = np.unique(score[active], return_inverse=True)
    group = np.zeros(len(score), dtype=np.int64)
    group[active] = place + 1
    return group, len(values) + 1
