"""Which settings of a method are tried, in which order, and which one is taken. Pure: no training here.

The rate first, from a coarse grid and then at half and twice the best; then each of the method's own values
at that rate; then the rate at half and twice once more, because a method's value may want another one. What
comes next follows from what is known, so a search that was broken off goes on where it stopped.

Rules, the same for every method: of settings that met their L0 targets the highest explained variance, mean
over the targets, counts; the weight of a temporal term is the one with the highest persistence by energy
among those that cost at most `cost` of explained variance against weight 0 of the same method. Weight 0 must
have met its targets: where it did not, no weight's cost is known, and 0 is taken. So a loss is not built in,
and what a term is for decides. Of values that count as equal the method's default is taken, and after it the
smallest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.tuning.section import TuneSection

Setting = tuple[tuple[str, float], ...]
"""The tuned values of a trial by name, sorted."""

RATE = "lr_scale"


@dataclass(frozen=True)
class Outcome:
    """What a setting gave, mean over the L0 targets."""

    explained_variance: float
    persistence_energy: float
    met: bool  # every target was reached


@dataclass(frozen=True)
class Space:
    """What may be tried of one method: grids by name, the rate apart, and where the search starts."""

    start: Setting
    rates: tuple[float, ...]
    grids: Mapping[str, tuple[float, ...]]
    term: str | None  # of `grids`: chosen by persistence
    closed: bool = False  # no rate but `rates` is tried

    @classmethod
    def of(cls, variant: str, section: TuneSection, start: Mapping[str, float], rate: bool = False) -> Space:
        """The space of `variant`, whose tuned values are at `start`; of its `rate` alone."""
        grids = {} if rate else section.values.get(variant, {})
        kept = {name: tuple(grid) for name, grid in grids.items() if name in start}
        term = section.terms.get(variant)
        rates = tuple(section.lr_scale) if RATE in start else ()
        return cls(tuple(sorted(start.items())), rates, kept, term if term in kept else None)


@dataclass(frozen=True)
class Search:
    """The state of a method's search: what is to be tried next, and the best setting of what is known."""

    missing: list[Setting]
    best: Setting
    unpriced: bool = False  # a term's weakest weight was taken because weight 0 diverged or missed a target

    @property
    def done(self) -> bool:
        """Nothing is left to try."""
        return not self.missing


def search(space: Space, known: Mapping[Setting, Outcome | None], rules: TuneSection) -> Search:
    """Go through the rounds as far as `known` reaches; an outcome None is a setting that diverged."""
    best, unpriced = space.start, False
    for name, grid in _rounds(space):
        settings = {value: put(best, name, value) for value in grid or _around(dict(best)[name])}
        missing = [setting for setting in settings.values() if setting not in known]
        if missing:
            return Search(missing, best, unpriced)
        outcomes = {value: known[setting] for value, setting in settings.items()}
        if name == space.term and not _priced(outcomes):
            best, unpriced = put(best, name, _weakest(outcomes)), True
            continue
        rule = _of_term if name == space.term else _of_variance
        taken = rule(outcomes, dict(space.start)[name], rules)
        best = best if taken is None else put(best, name, taken)
    return Search([], best, unpriced)


def put(setting: Setting, name: str, value: float) -> Setting:
    """`setting` with another value of `name`."""
    return tuple(sorted((dict(setting) | {name: value}).items()))


def without_rate(setting: Setting) -> Setting:
    """`setting` but for its rate."""
    return tuple(each for each in setting if each[0] != RATE)


def _rounds(space: Space) -> Iterator[tuple[str, tuple[float, ...] | None]]:
    """What is searched, in order: a name and its grid, None for half and twice the best so far."""
    if space.rates:
        yield RATE, space.rates
        if not space.closed:
            yield RATE, None
    yield from space.grids.items()
    if space.rates and space.grids:
        yield RATE, None


def _around(best: float) -> tuple[float, ...]:
    return (best / 2, best, best * 2)


def _met(outcomes: Mapping[float, Outcome | None]) -> dict[float, Outcome]:
    """Those that met their targets; where none did, all that did not diverge."""
    there = {value: outcome for value, outcome in outcomes.items() if outcome is not None}
    return {value: outcome for value, outcome in there.items() if outcome.met} or there


def _of_variance(
    outcomes: Mapping[float, Outcome | None], default: float, rules: TuneSection
) -> float | None:
    """The value of the highest explained variance; None where all diverged."""
    found = {value: outcome.explained_variance for value, outcome in _met(outcomes).items()}
    return _first(found, rules.same_variance, default)


def _priced(outcomes: Mapping[float, Outcome | None]) -> bool:
    """Whether a weight's cost can be told: weight 0, its control, met its targets."""
    control = outcomes[0.0]
    return control is not None and control.met


def _weakest(outcomes: Mapping[float, Outcome | None]) -> float:
    """The smallest weight above 0: a term that is switched off says nothing about its method."""
    weights = [value for value in outcomes if value > 0]
    return min([value for value in weights if outcomes[value] is not None] or weights)


def _of_term(outcomes: Mapping[float, Outcome | None], default: float, rules: TuneSection) -> float | None:
    """The weight above 0 of the highest persistence by energy among those that cost at most `rules.cost`.

    Where all cost more, the smallest.
    """
    met = _met(outcomes)
    least = met[0.0].explained_variance - rules.cost
    found = {
        value: outcome.persistence_energy
        for value, outcome in met.items()
        if value > 0 and outcome.explained_variance >= least
    }
    return _first(found, rules.same_persistence, default) if found else _weakest(outcomes)


def _first(found: Mapping[float, float], same: float, default: float) -> float | None:
    """Of the values within `same` of the highest: the default, or else the smallest."""
    if not found:
        return None
    highest = max(found.values())
    equal = [value for value, score in found.items() if score >= highest - same]
    return default if default in equal else min(equal)
