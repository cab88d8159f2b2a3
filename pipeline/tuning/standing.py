"""Whether a bed's values were tuned on it: the record, searched again by the rules, has to give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.lm.shipped.folder import ShippedModel
from pipeline.params import Params
from pipeline.params.experiment import variants
from pipeline.tuning.beds import SOURCE, place_of, profile_bed, source_bed
from pipeline.tuning.methods import Method, method_of
from pipeline.tuning.record import Bed, Trial, of_method, outcomes, path_of, read_trials
from pipeline.tuning.search import Setting, Space, search
from pipeline.tuning.section import TuneSection

NEVER = "not tuned on it"
OLDER = "tuned with older code of this method (`tune --same-code` where no number has changed)"
Codes = Callable[[str], str]
"""The hash of a method's code now, by its name."""


def of_profile(params: Params, code: Codes) -> dict[str, str]:
    """For each chosen method "" where the record gives the profile's values, or what is wrong."""
    weights, trials = shipped_weights(params), read_trials(path_of(params.profile))
    bed = profile_bed(params, weights or "")
    if weights is None:  # known only where the data is: the latest in the record stands for them
        bed = replace(bed, weights=next((each.weights for each in trials if each.basis == bed.basis), ""))
    return _standing(
        params, bed, trials, params.value("profile.train.l0"), params.value("profile.train.tokens"), code
    )


def of_source(params: Params, code: Codes) -> dict[str, str]:
    """The same of ground truth's source."""
    section = params.value(SOURCE)
    return _standing(
        params, source_bed(params), read_trials(path_of(SOURCE)), section["l0"], section["tokens"], code
    )


def _standing(
    params: Params, bed: Bed, trials: list[Trial], targets: list[int], tokens: int, code: Codes
) -> dict[str, str]:
    rules = params.get("tune", TuneSection)
    place = place_of(bed.name)
    found = {}
    for variant in variants(params):
        method = method_of(params, variant)
        if method.defaults:
            own = of_method(trials, bed, variant, method.hash, rules.seed)
            made = [each for each in own if each.code == code(variant)]
            values = values_of(params, method, place)
            found[variant] = (
                _method(made, method, values, targets, tokens, rules) if made
                else OLDER if own else _why(trials, bed, variant)
            )  # fmt: skip
    return found


def shipped_weights(params: Params) -> str | None:
    """The weights of the chosen profile's language model where they ship with the package; else None."""
    model = params.value("profile.model")
    shipped = model.get("source") == "embedded" and not model.get("retrain", False)
    return ShippedModel().weights_sha256 if shipped else None


def values_of(params: Params, method: Method, place: str) -> Setting:
    """The tuned values that count for `method` now."""
    section = params.section(method.variant, tuned=place)
    return tuple(sorted((name, float(section.get(name, given))) for name, given in method.defaults.items()))


def _why(trials: Sequence[Trial], bed: Bed, variant: str) -> str:
    """Why no trial of `variant` counts for `bed`."""
    own = [each for each in trials if each.variant == variant]
    if not own:
        return NEVER
    if all(each.basis != bed.basis for each in own):
        return "tuned on another text, model or training section"
    if all(each.weights != bed.weights for each in own):
        return "tuned on other weights of the language model"
    return "tuned with other values beside"


def _method(
    own: list[Trial], method: Method, values: Setting, targets: list[int], tokens: int, rules: TuneSection
) -> str:
    found = finished(own, method, targets, tokens, rules)
    if found is None:
        return "its search is not finished"
    best, there = _at_full_length(own, method, found[0], targets, tokens, rules)
    if best != values:
        return f"its record gives {', '.join(f'{name} {value:g}' for name, value in best)}"
    length = found[1]
    return "" if there or length == tokens else f"tuned at {length:,} tokens, not at {tokens:,}"


def finished(
    own: Sequence[Trial], method: Method, targets: Sequence[int], tokens: int, rules: TuneSection
) -> tuple[Setting, int] | None:
    """What a finished search among `own` gives, and its length: `tokens`, or else the longest."""
    space = Space.of(method.variant, rules, method.defaults)
    for length in sorted({each.tokens for each in own}, key=lambda each: (each != tokens, -each)):
        state = search(space, outcomes(own, targets, length), rules)
        if state.done:
            return state.best, length
    return None


def rates_of(
    own: Sequence[Trial],
    method: Method,
    now: Setting,
    targets: Sequence[int],
    tokens: int,
    rules: TuneSection,
) -> Space:
    """The rates to try at other lengths: around what a finished search gives, without one around `now`."""
    found = finished(own, method, targets, tokens, rules)
    return Space.of(method.variant, rules, dict(now if found is None else found[0]), rate=True)


def _at_full_length(
    own: list[Trial], method: Method, best: Setting, targets: list[int], tokens: int, rules: TuneSection
) -> tuple[Setting, bool]:
    """`best` of a shorter length with the best rate at training's own, and whether that was searched."""
    space = Space.of(method.variant, rules, dict(best), rate=True)
    state = search(space, outcomes(own, targets, tokens), rules)
    return (state.best, True) if state.done else (best, False)
