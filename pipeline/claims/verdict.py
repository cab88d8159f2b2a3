"""Whether a printed number may be judged by this run, and if so how it fares.

A verdict needs everything to match: the definition, the SAE, the setting (model, layer, dictionary size,
text, tokens) and the L0. Whatever fails first is the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.claims.measured import L0, NEAR, Measurement
from pipeline.claims.schema import Claim, Claims, Metric, Setting, System

COMPARED = ("model", "layer", "n", "text", "context_length", "tokens")
WORDS = {
    "model": "model",
    "layer": "layer",
    "n": "dictionary size",
    "text": "text",
    "context_length": "context length",
    "tokens": "training tokens",
}

Outcome = Literal["reproduced", "not reproduced", "not comparable"]


@dataclass(frozen=True)
class Here:
    """What this run is."""

    profile: str
    model: str
    layer: int
    n: int
    text: str
    context_length: int
    tokens: int
    switches: Mapping[str, Any]  # params key -> value, for every key a claim needs
    variants: frozenset[str]


@dataclass(frozen=True)
class Verdict:
    """`why` is one sentence."""

    outcome: Outcome
    why: str


def judge(claim: Claim, claims: Claims, measured: Sequence[Measurement], here: Here) -> Verdict:
    """The verdict on `claim` from its `measured` values, or why there is none."""
    system, metric = claims.systems[claim.system], claims.metrics[claim.metric]
    for reason in _obstacles(claim, system, metric, claims.settings[system.setting], here):
        return _none(reason)
    at = [each for each in measured if _at_printed_l0(each, system)]
    if not at:
        reached = ", ".join(f"{each.l0:.4g}" for each in measured if each.l0 is not None) or "none"
        return _none(
            f"no SAE of this run lies within {NEAR:.0%} of the printed L0 {system.l0:g} (reached: {reached})"
        )
    nearest = min(at, key=lambda each: abs((each.l0 or 0) - (system.l0 or 0)))
    return _compare(claim, nearest)


def absent(claim: Claim, claims: Claims, here: Here) -> str:
    """Why this run has no SAE of the kind the claim is about; empty when it has."""
    system = claims.systems[claim.system]
    if not claims.metrics[claim.metric].ours:
        return "no metric of ours corresponds"
    if system.variant not in here.variants:
        return _unlisted(system)
    return _unmet(system.needs, here)


def _obstacles(claim: Claim, system: System, metric: Metric, setting: Setting, here: Here) -> Iterator[str]:
    """What forbids a verdict, before any value is looked at; the weightiest first."""
    if not metric.ours:
        yield metric.why
    if claim.value is None:
        yield "the source states no value"
    if system.variant not in here.variants:
        yield _unlisted(system)
    yield from _elsewhere(setting, here)
    if not metric.same:
        yield metric.why
    if system.differs:
        yield system.differs
    for needs in (metric.needs, system.needs):
        if unmet := _unmet(needs, here):
            yield unmet
    if metric.ours == [L0]:
        yield "L0 is a target here and no finding"
    if system.l0 is None:
        yield "the source states no L0"


def _elsewhere(setting: Setting, here: Here) -> Iterator[str]:
    stated = {key: getattr(setting, key) for key in COMPARED}
    other = [key for key, value in stated.items() if value not in (None, getattr(here, key))]
    if other:
        ours = ", ".join(f"{WORDS[key]} {getattr(here, key)}" for key in other)
        theirs = ", ".join(f"{WORDS[key]} {stated[key]}" for key in other)
        yield f"measured on {ours}; the source has {theirs}"
    unstated = [WORDS[key] for key, value in stated.items() if value is None]
    if unstated:
        yield f"the source does not state its {', '.join(unstated)}"


def _unmet(needs: Mapping[str, Any], here: Here) -> str:
    for key, value in needs.items():
        if here.switches[key] != value:
            return f"it takes `{key}: {_yaml(value)}`, this run has {_yaml(here.switches[key])}"
    return ""


def _unlisted(system: System) -> str:
    return f"`{system.variant}` is not among the variants of this run"


def _at_printed_l0(measured: Measurement, system: System) -> bool:
    if measured.l0 is None or system.l0 is None:
        return False
    return abs(measured.l0 - system.l0) <= NEAR * system.l0


def _compare(claim: Claim, measured: Measurement) -> Verdict:
    bounds = measured.bounds()
    if measured.mean is None:
        return _none(f"this run has no value at that L0 ({measured.reason})")
    if bounds is None:
        return _none(
            f"{measured.seeds} of {measured.of} seeds have a value; a range takes all, and at least two"
        )
    assert claim.value is not None
    low, high = bounds
    # a printed number stands for everything that rounds to it
    half = 0.5 * 10.0 ** -_decimals(claim.printed)
    inside = low - half <= claim.value <= high + half
    where = f"{low:.4g} to {high:.4g} over {measured.seeds} seeds at L0 {measured.l0:.4g}"
    if inside:
        return Verdict("reproduced", f"{claim.printed} lies in the range here, {where}")
    return Verdict("not reproduced", f"{claim.printed} lies outside the range here, {where}")


def _decimals(printed: str) -> int:
    return len(printed.partition(".")[2])


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _none(reason: str) -> Verdict:
    return Verdict("not comparable", reason)
