"""What the study says of one method: a short list for README, a long one for docs/study-results.md."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.study.answers import Answers
from pipeline.study.findings import Finding
from pipeline.study.words import NOT_RUN, Found, base, gains, of, parts, rests_on, sorted_out, time, why_not

MEANT = {
    "gain": "what it improves, and the price",
    "time": "is it time",
    "part": "which part of it",
    "base": "on the other base",
}
"""What a comparison asks, as a line begins."""


def headline(answers: Answers, method: str) -> list[str]:
    """What it improves, the price; then whether by time, also on another base, and what that rests on."""
    main, found = _main(answers, method)
    if not any(each.estimate is not None for each in found):
        return [f"**`{method}`**: {NOT_RUN}."]
    gained, failed = _against(of(found, "gain", method))
    every = [each for own in answers.of(method).values() for each in own]
    control = f", against `{gained[0].against}`," if gained else ""
    said = [
        f"**`{method}`**{control} {gains(gained)}.",
        *(f"Not against `{each[0].against}`: {why_not(each)}." for each in failed),
        time(of(found, "time"), gained),
        parts(of(every, "part", method)),
        base(of(every, "base"), gained),
        f"**Rests on** {rests_on(found, _wanted(answers))} (block `{main}`).",
    ]
    return [each for each in said if each]


def short(answers: Answers, methods: Sequence[str]) -> str:
    """The headlines as a list, with what belongs to each below it."""
    lines = []
    for method in methods:
        first, *below = headline(answers, method)
        lines += [f"- {first}", *(f"    - {each}" for each in below)]
    return "\n".join(lines)


def _against(found: Found) -> tuple[Found, list[Found]]:
    """The findings against the first control that can be held against it, and those of controls before it."""
    controls = [[*same] for _, same in groupby(found, lambda each: each.against)]
    for place, same in enumerate(controls):
        if any(each.estimate is not None for each in same):
            return same, [*controls[:place]]
    return (controls[0] if controls else []), []


def _main(answers: Answers, method: str) -> tuple[str, list[Finding]]:
    """The first block, in the order of what decides most, that asks what the method improves."""
    own = answers.of(method)
    name = next(name for name, found in own.items() if of(found, "gain", method))
    return name, own[name]


def _wanted(answers: Answers) -> dict[str, list[str]]:
    return {name: block.models for name, block in answers.study.blocks.items()}


def paragraph(answers: Answers, method: str) -> str:
    """The headline; by block every comparison, what it rests on and what would overturn it."""
    first, *below = headline(answers, method)
    lines = [first, "", *(f"- {each}" for each in below)]
    for name, found in answers.of(method).items():
        block = answers.study.blocks[name]
        if not any(each.estimate is not None for each in found):
            lines.append(f"- **{name}** ({block.question}) {NOT_RUN.capitalize()}.")
            continue
        lines.append(f"- **{name}** ({block.question}) Rests on {rests_on(found, _wanted(answers))}.")
        for (asks, row, against), same in groupby(found, lambda each: (each.asks, each.row, each.against)):
            lines.append(f"    - {MEANT[asks]}, `{row}` against `{against}`: {sorted_out([*same])}.")
        lines.append(f"    - what would overturn it: {block.overturned_by}")
    return "\n".join(lines)
