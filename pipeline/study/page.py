"""What the marks `study` of docs/study-results.md and README stand for, from the study's files in git alone.

`study: method NAME`: what it says of a method; `study: short; methods: A, B`: the same in short;
`study: block NAME`: every comparison of a question; `study: run`: what was run, by which code, what is left;
`study: models`: how far another language model moves a number; `study: picture`: the effects as a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.compare.paired.verdict import SIGNS
from pipeline.console.errors import BadInput
from pipeline.handbook.marks import Mark
from pipeline.study.answers import Answers
from pipeline.study.findings import Finding
from pipeline.study.made import made
from pipeline.study.paragraph import paragraph, short
from pipeline.study.replicate import Cells
from pipeline.study.replicate import table as over_models
from pipeline.study.words import NOT_RUN, effect, signed

PICTURE = Path("docs/study.png")
HEAD = ("row", "against", "outcome", "effect [95 % interval]", "n", "at L0", "on each model", "verdict")
ARROW = {"higher": " ↑", "lower": " ↓"}


def said(mark: Mark, answers: Answers, printed: Cells) -> str | None:
    """The content of a mark, `printed` being the default run's intervals; None for marks of other commands.

    Raises BadInput for what the study does not have.
    """
    if mark.name != "study":
        return None
    kind, _, name = mark.asked.partition(" ")
    if kind == "method" and answers.of(name):
        return f"\n{paragraph(answers, name)}\n"
    if kind == "short":
        return f"\n{short(answers, mark.names('methods'))}\n"
    if kind == "block" and name in answers.findings:
        return f"\n{_block(answers, name)}\n"
    if kind == "run":
        return f"\n{made(answers)}\n"
    if kind == "models":
        return f"\n{over_models(answers, printed)}\n"
    if kind == "picture":
        return f"\n{_picture(answers)}\n"
    raise BadInput(f"A mark asks the study for {mark.asked!r}, which it does not have.")


def _picture(answers: Answers) -> str:
    if not answers.known:
        return f"No picture: {NOT_RUN}."
    return f"![Effects of the study with their intervals]({PICTURE.name})"


def _block(answers: Answers, name: str) -> str:
    found = answers.findings[name]
    overturned = f"What would overturn it: {answers.study.blocks[name].overturned_by}"
    if not any(each.estimate is not None for each in found):
        return f"{NOT_RUN.capitalize()}."
    return "\n".join([*_table(found), "", overturned])


def _table(found: Sequence[Finding]) -> list[str]:
    rows = [HEAD, ("---",) * len(HEAD), *(_cells(each) for each in found)]
    return [f"| {' | '.join(cells)} |" for cells in rows]


def _cells(each: Finding) -> tuple[str, ...]:
    name = f"{each.title or each.outcome}{ARROW.get(each.better, '')}"
    if each.estimate is None:
        return each.row, each.against, name, "", "", "", "", f"not compared: {each.reason}"
    at = zip(each.targets, each.by_target, strict=True)
    targets = ", ".join(f"{signed(value, each.decimals)} ({target})" for target, value in at)
    models = ", ".join(
        f"{model} {signed(value, each.decimals)}{SIGNS[one.verdict]}"
        for model, value, one in zip(each.models, each.by_model, each.alone, strict=False)
    )
    verdict = f"{SIGNS[each.verdict]} {each.word}, p {each.p_holm:.2g}".strip()
    n = f"{len(each.models)} x {each.seeds} x {len(each.targets)}"
    return each.row, each.against, name, effect(each), n, targets, models, verdict
