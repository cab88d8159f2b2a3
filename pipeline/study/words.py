"""Findings in words: every number and every word of a verdict follows from the data by the rules here.

Which sentence is said:
- improves: outcomes judged "better" than the row without the idea; price: those judged "worse". "At no price"
  is said only where every other outcome is equal within its margin; else the open ones are named, and of
  these apart those whose own interval leaves out 0, which is no verdict among several questions;
- time: an outcome comes from time when the method is better than its twin, trained on shuffled neighbours;
  one whose twin is not told apart is "not shown" to, and one whose twin is equal within margin does not;
- another base: a gain survives when it is "better" there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from pipeline.study.findings import ON_EACH, Finding
from pipeline.study.gather import SOURCE
from pipeline.study.section import Asks

NOT_RUN = "not run"
TIME, BASE = "**Is it time?**", "**On the other base:**"
LEANS = "not distinguishable among all that was asked, though by itself its interval leaves out 0"
WORDS = ("better", "worse", "equal within margin", "not distinguishable")
"""In the order in which they are named; a finding on each language model alone comes after its word."""
Found = Sequence[Finding]


def effect(each: Finding) -> str:
    """A difference with its interval: `+0.187 [0.140, 0.234]`."""
    assert each.estimate is not None
    low, high = (number(value, each.decimals) for value in (each.estimate.low, each.estimate.high))
    return f"{signed(each.estimate.value, each.decimals)} [{low}, {high}]"


def named(each: Finding) -> str:
    """Its outcome, set off because some names have a comma."""
    return f"*{each.title}*" if each.title else f"`{each.outcome}`"


def number(value: float, decimals: int) -> str:
    """`value` rounded, 0 without a sign."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def signed(value: float, decimals: int) -> str:
    """The same with its sign."""
    return (
        f"{round(value, decimals) + 0.0:+.{decimals}f}" if round(value, decimals) else number(0.0, decimals)
    )


def titles(found: Found) -> str:
    """Their outcomes with effects, as a list in words.

    What only each language model alone shows says so, and so does an effect that turns with the L0 target.
    """
    return joined(f"{named(each)} ({effect(each)}{_turns(each)}{_alone(each)})" for each in found)


def _alone(each: Finding) -> str:
    return f", {ON_EACH}" if each.word != each.verdict else ""


def _turns(each: Finding) -> str:
    signs = {value > 0 for value in each.by_target if round(value, each.decimals)}
    at = zip(each.by_target, each.targets, strict=True)
    parts = (f"{signed(value, each.decimals)} at L0 {target}" for value, target in at)
    return f", {joined(parts)}" if len(signs) > 1 else ""


def joined(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def is_(each: Finding, word: str) -> bool:
    """Whether its verdict is `word`, at least on each language model alone."""
    return each.word.startswith(word)


def sorted_out(found: Found) -> str:
    """All outcomes of one comparison by verdict, those without one with the reason."""
    every = dict.fromkeys(each.word for word in WORDS for each in found if is_(each, word))
    said = [f"{word}: {titles([each for each in found if each.word == word])}" for word in every]
    reasons: dict[str, list[str]] = {}
    for each in found:
        if each.estimate is None:
            reasons.setdefault(f"{each.reason}{_missed(each)}", []).append(named(each))
    said += [f"not compared: {joined(names)} ({reason})" for reason, names in reasons.items()]
    return "; ".join(said)


def gains(found: Found) -> str:
    """What a method improves against the row without its idea, and at what price."""
    better, worse, equal, open_ = ([each for each in found if is_(each, word)] for word in WORDS)
    missing = [each for each in found if each.estimate is None]
    if len(missing) == len(found):
        return f"is not compared with its control: {why_not(found)}"
    rest = [
        ("equal within margin", [named(each) for each in equal]),
        ("not distinguishable", [named(each) for each in open_ if not leans(each)]),
        (LEANS, [f"{named(each)} ({effect(each)})" for each in open_ if leans(each)]),
        ("not compared yet", [named(each) for each in missing]),
    ]
    said = [f"{word}: {joined(names)}" for word, names in rest if names]
    return "; ".join([_gained(better, worse, [*open_, *missing]), *said])


def why_not(found: Found) -> str:
    """The reasons of findings without an estimate, with the targets that were missed."""
    return "; ".join(
        dict.fromkeys(f"{each.reason}{_missed(each)}" for each in found if each.estimate is None)
    )


def _missed(each: Finding) -> str:
    return f" ({each.left_out})" if each.left_out else ""


def _gained(better: Found, worse: Found, open_: Found) -> str:
    """`open_`: what is not told apart and what was not compared."""
    if better and worse:
        return f"improves {titles(better)} at the price of {titles(worse)}"
    if better:
        price = "no price is told apart" if open_ else "at no price that was asked about"
        return f"improves {titles(better)}; {price}"
    if worse:
        return f"improves nothing that is told apart, and loses {titles(worse)}"
    return "is not told apart from its control" if open_ else "is equal to its control"


def leans(each: Finding) -> bool:
    """Whether it is not told apart in its family though its own interval leaves out 0."""
    found = each.estimate
    return found is not None and each.verdict == "not distinguishable" and not found.low <= 0 <= found.high


def time(twin: Found, gained: Found) -> str:
    """Whether time does it: each outcome against the twin on shuffled neighbours, beside the gain."""
    known = [each for each in twin if each.estimate is not None]
    if not known:
        return f"{TIME} {NOT_RUN.capitalize()}." if twin else f"{TIME} Not asked: it has no twin."
    gain = {each.outcome: each for each in gained}
    return f"{TIME} " + "; ".join(_time(each, gain.get(each.outcome)) for each in known) + "."


def _time(twin: Finding, gain: Finding | None) -> str:
    name, shown, yes = named(twin), effect(twin), f"yes{_alone(twin)}"
    gained = gain is not None and is_(gain, "better")
    if is_(twin, "worse"):
        return f"{name}: no, its shuffled twin is better ({shown})"
    if is_(twin, "equal within margin"):
        return f"{name}: no, its shuffled twin is equal within margin ({shown})"
    if not is_(twin, "better"):
        though = ", though it gains over its control" if gained else ""
        return f"{name}: not shown, its shuffled twin is not distinguishable ({shown}){though}"
    if gain is None or gain.estimate is None:
        return f"{name}: {yes}, {shown} over its shuffled twin"
    if gained:
        over = f"{signed(gain.estimate.value, gain.decimals)} over its control"
        return f"{name}: {yes}, {shown} over its shuffled twin, of {over}"
    return f"{name}: {yes}, {shown} over its shuffled twin, though no gain over its control is told apart"


def parts(found: Found) -> str:
    """What the whole method gains and loses against itself with a part changed; nothing if not asked."""
    if not found:
        return ""
    said = [_whole(against, [*same]) for against, same in groupby(found, lambda each: each.against)]
    return f"**Which part does it?** {' '.join(said)}"


def _whole(against: str, same: Found) -> str:
    by_word = {word: [each for each in same if is_(each, word)] for word in WORDS}
    shown = (titles, titles, _names, _names)
    said = [
        f"{word} in {show(some)}" for (word, some), show in zip(by_word.items(), shown, strict=True) if some
    ]
    return f"Against `{against}`: {'; '.join(said) or NOT_RUN}."


def _names(found: Found) -> str:
    return joined(map(named, found))


def base(other: Found, gained: Found) -> str:
    """Whether what it gains holds on the other base."""
    known = [each for each in other if each.estimate is not None]
    if not known:
        return f"{BASE} {NOT_RUN}."
    won = {each.outcome for each in gained if is_(each, "better")}
    said = [f"{named(each)} {_survives(each)} ({effect(each)})" for each in known if each.outcome in won]
    rest = [each for each in known if each.outcome not in won]
    if rest:
        said.append(sorted_out(rest))
    return f"{BASE} {'; '.join(said)}."


def _survives(each: Finding) -> str:
    if is_(each, "better"):
        return "survives"
    return "turns round" if is_(each, "worse") else f"is not shown: {each.word}"


def rests_on(found: Found, wanted: Mapping[str, Sequence[str]]) -> str:
    """Language models, seeds, targets and SAEs of `found`; what of its block's `wanted` models is to run."""
    known = [each for each in found if each.estimate is not None]
    if not known:
        return NOT_RUN
    models = list(dict.fromkeys(model for each in known for model in each.models))
    least = min(known, key=lambda each: each.saes)
    block = known[0].block
    missing = [model for model in wanted[block] if model not in models and models != [SOURCE]]
    targets = joined(map(str, sorted({target for each in known for target in each.targets})))
    what = "the synthetic source" if models == [SOURCE] else _count(len(models), "language model")
    of_which = "" if models == [SOURCE] else f" ({', '.join(models)})"
    said = (
        f"{what}{of_which}, {least.seeds} SAE seeds each, "
        f"L0 {targets}: at least {least.saes} SAEs per comparison"
    )
    said += f"; still to run: {', '.join(missing)}" if missing else ""
    if len(models) == 1 and models != [SOURCE]:
        without = dict.fromkeys(named(each) for each in known if not each.with_items)
        bare = f", for {joined(without)} SAE seeds alone" if without else ""
        said += f"; the intervals hold SAE seeds and test items of this language model{bare}"
    # each target's fullest list: of two rows the one that missed it may stand in several comparisons
    every = dict.fromkeys(each.left_out for each in known if each.left_out)
    whole = [one for one in every if not any(one != other and one.rstrip(")") in other for other in every)]
    return said + (f"; left out of some comparisons: {'; '.join(whole)}" if whole else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def of(found: Found, asks: Asks, row: str | None = None) -> Found:
    """Those of `found` that ask it, of `row` where given."""
    return [each for each in found if each.asks == asks and row in (None, each.row)]
