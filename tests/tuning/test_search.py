"""The search of a planted landscape, as the rules say it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from pipeline.tuning.search import Outcome, Setting, Space, put, search
from pipeline.tuning.section import TuneSection

RULES = TuneSection(
    values={"m": {"weight": [0.0, 0.1, 1.0]}, "k": {"aux": [0.1, 0.2]}}, terms={"m": "weight"}, trials=12
)
Landscape = Callable[[dict[str, float]], Outcome | None]


def walk(space: Space, landscape: Landscape, rules: TuneSection = RULES) -> tuple[Setting, list[Setting]]:
    """The best setting and all that were tried, in order."""
    known: dict[Setting, Outcome | None] = {}
    while not (state := search(space, known, rules)).done:
        known |= {setting: landscape(dict(setting)) for setting in state.missing}
    return state.best, list(known)


def peak(rate: float, best: float) -> float:
    return 0.9 - 0.1 * abs(math.log2(rate / best))


def test_the_rate_is_found_between_and_beyond_the_grid() -> None:
    space = Space.of("plain", RULES, {"lr_scale": 1.0})
    for best in (0.25, 1.0, 4.0, 16.0):
        found, tried = walk(space, lambda at, best=best: Outcome(peak(at["lr_scale"], best), 0.0, True))
        assert found == (("lr_scale", best),)
        assert len(tried) <= 5


def test_equal_rates_give_the_default_or_the_smallest() -> None:
    def flat(at: dict[str, float]) -> Outcome:
        return Outcome(0.9 + 0.0001 * at["lr_scale"], 0.0, True)

    assert walk(Space.of("plain", RULES, {"lr_scale": 2.0}), flat)[0] == (("lr_scale", 2.0),)
    assert walk(Space.of("plain", RULES, {"lr_scale": 3.0}), flat)[0] == (("lr_scale", 0.25),)


def test_an_own_value_is_chosen_by_variance_and_the_rate_looked_at_again() -> None:
    """At aux 0.2 another rate is best: only a search that comes back to the rate finds it."""

    def landscape(at: dict[str, float]) -> Outcome:
        return Outcome(peak(at["lr_scale"], 4.0 if at["aux"] == 0.2 else 2.0) + 2 * at["aux"], 0.0, True)

    best, tried = walk(Space.of("k", RULES, {"lr_scale": 1.0, "aux": 0.1}), landscape)
    assert dict(best) == {"aux": 0.2, "lr_scale": 4.0}
    assert len(tried) <= RULES.trials


@pytest.mark.parametrize(
    ("cost", "expected"), [(0.005, 1.0), (0.02, 0.1), (0.2, 0.1)], ids=["cheap", "dear", "too dear"]
)
def test_a_term_s_weight_is_the_steadiest_that_costs_little(cost: float, expected: float) -> None:
    """Cost per unit of weight; where every weight costs more than the rule allows, the smallest stands."""

    def landscape(at: dict[str, float]) -> Outcome:
        return Outcome(peak(at["lr_scale"], 2.0) - cost * at["weight"], at["weight"], True)

    best, _ = walk(Space.of("m", RULES, {"lr_scale": 1.0, "weight": 0.1}), landscape)
    assert dict(best)["weight"] == expected


def test_a_term_that_makes_nothing_steadier_keeps_its_default() -> None:
    best, _ = walk(
        Space.of("m", RULES, {"lr_scale": 1.0, "weight": 0.1}),
        lambda at: Outcome(peak(at["lr_scale"], 2.0), 0.3, True),
    )
    assert dict(best)["weight"] == 0.1


def test_missed_targets_and_divergence_lose() -> None:
    def landscape(at: dict[str, float]) -> Outcome | None:
        rate = at["lr_scale"]
        return None if rate > 8 else Outcome(0.5 + 0.01 * rate, 0.0, met=rate <= 1)

    assert walk(Space.of("plain", RULES, {"lr_scale": 1.0}), landscape)[0] == (("lr_scale", 1.0),)


def test_a_method_that_always_diverges_keeps_its_rate_and_has_the_weakest_term() -> None:
    start = {"lr_scale": 1.0, "weight": 1.0}
    assert dict(walk(Space.of("m", RULES, start), lambda at: None)[0]) == start | {"weight": 0.1}


@pytest.mark.parametrize("control", [None, Outcome(0.5, 0.0, met=False)], ids=["diverged", "missed"])
def test_a_weight_is_not_held_against_a_control_that_failed(control: Outcome | None) -> None:
    """The steadiest weight would cost nothing against it; without a control its cost is not known."""

    def landscape(at: dict[str, float]) -> Outcome | None:
        return Outcome(peak(at["lr_scale"], 2.0), at["weight"], True) if at["weight"] else control

    known: dict[Setting, Outcome | None] = {}
    space = Space.of("m", RULES, {"lr_scale": 1.0, "weight": 0.1})
    while not (state := search(space, known, RULES)).done:
        known |= {setting: landscape(dict(setting)) for setting in state.missing}
    assert dict(state.best)["weight"] == 0.1
    assert state.unpriced


def test_a_search_with_a_sound_control_is_priced() -> None:
    known: dict[Setting, Outcome | None] = {
        (("lr_scale", rate), ("weight", weight)): Outcome(peak(rate, 2.0), weight, True)
        for rate in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
        for weight in (0.0, 0.1, 1.0)
    }
    state = search(Space.of("m", RULES, {"lr_scale": 1.0, "weight": 0.1}), known, RULES)
    assert state.done
    assert not state.unpriced


def test_a_search_goes_on_where_it_stopped() -> None:
    space, known = Space.of("plain", RULES, {"lr_scale": 1.0}), dict[Setting, Outcome | None]()
    first = search(space, known, RULES).missing
    known[first[0]] = Outcome(0.9, 0.0, True)
    assert search(space, known, RULES).missing == first[1:]


def test_only_the_rate_leaves_other_values_alone() -> None:
    space = Space.of("m", RULES, {"lr_scale": 1.0, "weight": 0.7}, rate=True)
    best, tried = walk(space, lambda at: Outcome(peak(at["lr_scale"], 2.0), 0.0, True))
    assert best == put(space.start, "lr_scale", 2.0)
    assert {dict(each)["weight"] for each in tried} == {0.7}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"values": {"m": {"weight": [0.0] * 20}}}, "m may need 27 trials"),
        ({"values": {"m": {"weight": [0.1]}}, "terms": {"m": "weight"}}, "must be tried at weight 0"),
        ({"terms": {"m": "weight"}}, "must be tried at weight 0"),
    ],
)
def test_the_section_holds_its_budget_and_its_controls(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TuneSection.model_validate(values)
