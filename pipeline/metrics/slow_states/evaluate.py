"""All that is measured of one SAE on labelled text: states, changes, hierarchies, and their references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.slow_states import baselines, hierarchy
from pipeline.metrics.slow_states.delay import Clock, Delay, delay
from pipeline.metrics.slow_states.estimates import Estimate, mean, reported
from pipeline.metrics.slow_states.fired import Fired
from pipeline.metrics.slow_states.labels import Labels
from pipeline.metrics.slow_states.metrics import BASELINES, DOCUMENTS
from pipeline.metrics.slow_states.reading import Auc, Candidates, Reading, aucs
from pipeline.metrics.slow_states.section import SlowStatesSection
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number, missing
from pipeline.sae.core.codes import Codes

_ONE_VALUE = "no slow state has labels in both halves of the documents and two values in one"
_STILL = (
    "no slow state with labels in both halves changes often enough, with places to compare the changes to"
)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Slow:
    """The slow states as one kind of column reads them."""

    states: Mapping[str, list[Auc]]
    delays: Sequence[Delay]

    @property
    def auc(self) -> Estimate | None:
        """The mean over values and halves, then over states."""
        of = [mean([each.found for each in own]) for own in self.states.values()]
        return mean([each for each in of if each])

    @property
    def delay(self) -> Estimate | None:
        """The mean over states that change."""
        return mean([each.found for each in self.delays])

    def numbers(self, plan: Resampling, end: str = "") -> dict[str, Number]:
        """The two headlines, under names that end in `end`."""
        return {
            f"slow_auc{end}": reported(self.auc, plan, _ONE_VALUE),
            f"detection_delay{end}": reported(self.delay, plan, _STILL),
        }


@dataclass(frozen=True)
class Evaluator:
    """The labelled text that all SAEs are measured on."""

    labels: Labels
    section: SlowStatesSection

    def of(self, blocks: Iterable[Codes], n: int) -> Measured:
        """What is measured of the SAE that gives the codes `blocks` of all tokens, in order."""
        fired = Fired.of(blocks, n)
        candidates = [Candidates.of(fired, self.labels, state) for state in self.labels.slow]
        readings = [each.best(fired) for each in candidates]
        sparse = [each.best(fired, self.section.dense) for each in candidates]
        slow = self._slow(readings)
        without = Slow({each.state.name: aucs(each, self.labels) for each in sparse}, [])
        found = hierarchy.absorbed(fired, self.labels)
        whole = hierarchy.over_families(found, self.labels)
        chance = hierarchy.over_families(hierarchy.absorbed(fired, self.labels, self._anew), self.labels)
        none = "no child has a latent of its own under a parent that has one"
        numbers = {
            **slow.numbers(self.plan),
            "slow_auc_without_dense": reported(without.auc, self.plan, _ONE_VALUE),
            **_parts(slow.delays, found, none),
            "hierarchy_absorption": reported(whole, self.plan, none),
            "hierarchy_absorption_permuted": reported(chance, self.plan, none),
        }
        return Measured(numbers, {
            DOCUMENTS: _documents(slow.auc, slow.delay, whole, self.labels.documents),
            "states.tsv": _states(readings, slow, sparse, without),
            "delays.tsv": [_delayed(each) for each in slow.delays],
            "hierarchies.tsv": [_inherited(each) for each in found],
        })  # fmt: skip

    def baselines(self, x: np.ndarray) -> dict[str, Number]:
        """What reads the states without an SAE, from the activations `x` (N, d)."""
        fits = (baselines.neurons(x), baselines.token_lookup, baselines.dense_probe(x))
        numbers: dict[str, Number] = {}
        for end, fit in zip(BASELINES, fits, strict=True):
            read = [baselines.read(fit, self.labels, state) for state in self.labels.slow]
            numbers |= self._slow(read).numbers(self.plan, end)
        return numbers

    @property
    def plan(self) -> Resampling:
        """How intervals are drawn."""
        return Resampling(self.section.resamples, self.section.seed)

    def _slow(self, readings: Sequence[Reading]) -> Slow:
        found = {each.state.name: aucs(each, self.labels) for each in readings}
        clocks = self._clocks
        delays = [
            delay(clocks[each.state.name], each, self.labels, self.section.horizon)
            for each in readings
            if each.state.name in clocks
        ]
        return Slow(found, delays)

    @cached_property
    def _clocks(self) -> dict[str, Clock]:
        made = [
            Clock.of(state, self.labels, self.section.controls, self.section.seed)
            for state in self.labels.slow
        ]
        return {each.state.name: each for each in made if each}

    @cached_property
    def _anew(self) -> dict[str, np.ndarray]:
        return hierarchy.dealt_anew(self.labels, self.section.seed)


def _parts(delays: Sequence[Delay], found: Sequence[hierarchy.Absorbed], none: str) -> dict[str, Number]:
    """What the headlines are made of, without intervals."""
    timed = {
        "delay_after_change": [each.after.mean for each in delays],
        "delay_without_change": [each.without.mean for each in delays],
        "undetected": [each.after.never for each in delays],
    }
    missed = {
        "parent_miss_with_child": [each.with_child for each in found],
        "parent_miss_otherwise": [each.otherwise for each in found],
    }
    return {
        **{name: _plain(values, _STILL) for name, values in timed.items()},
        **{name: _plain(values, none) for name, values in missed.items()},
        "children_read": Number(float(len(found)), len(found)),
    }


def _plain(values: Sequence[float], reason: str) -> Number:
    return Number(float(np.mean(values)), len(values)) if values else missing(reason)


def _documents(auc: Estimate | None, waited: Estimate | None, whole: Estimate | None, documents: int) -> Rows:
    named = {"slow_auc": auc, "detection_delay": waited, "hierarchy_absorption": whole}
    columns = {name: each.items.tolist() if each else [None] * documents for name, each in named.items()}
    return [
        {"document": i, **{name: column[i] for name, column in columns.items()}} for i in range(documents)
    ]


def _states(readings: Sequence[Reading], slow: Slow, sparse: Sequence[Reading], without: Slow) -> Rows:
    return [
        {
            "state": reading.state.name, "value": each.value, "half": each.half,
            "latent": int(reading.column[each.half][each.value]), "auc": each.found.value,
            "latent_without_dense": int(fewer.column[each.half][each.value]),
            "auc_without_dense": other.found.value,
        }
        for reading, fewer in zip(readings, sparse, strict=True)
        for each, other in zip(
            slow.states[reading.state.name], without.states[reading.state.name], strict=True
        )
    ]  # fmt: skip


def _delayed(found: Delay) -> dict[str, Any]:
    return {
        "state": found.state, "changes": found.changes, "delay": found.found.value,
        "after_change": found.after.mean, "without_change": found.without.mean,
        "undetected": found.after.never, "false_alarms": 1 - found.without.never,
    }  # fmt: skip


def _inherited(found: hierarchy.Absorbed) -> dict[str, Any]:
    pair = found.pair
    return {
        "family": found.family, "parent": pair.parent, "child": pair.child,
        "sibling": pair.sibling, "half": pair.half,
        "parent_latent": pair.parent_latent, "child_latent": pair.child_latent,
        "parent_hit": pair.parent_hit, "child_hit": pair.child_hit, "tokens": found.tokens,
        "with_child": found.with_child, "otherwise": found.otherwise, "absorption": found.found.value,
    }  # fmt: skip
