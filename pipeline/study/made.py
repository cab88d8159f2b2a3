"""What of the study was run, by which code and with which parameters, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.study.answers import Answers
from pipeline.study.found import looked_up
from pipeline.study.provenance import own_params
from pipeline.study.words import NOT_RUN
from pipeline.study.workspace import workspaces

HEAD = (
    "block",
    "language model",
    "SAEs",
    "all measured",
    "CPU-hours",
    "of them left",
    "of them timed",
    "results",
)
"""All measured: with every evaluation of the block. Timed: hours priced by stages there, not typical ones."""
NUMBERS = {"saes": ".0f", "complete": ".0f", "hours": ".2f", "left": ".2f", "measured": ".2f"}


def made(answers: Answers) -> str:
    """A row per block and language model, and a line per code and set of parameters that made them."""
    results = {(each["block"], each["model"]): each["results"] for each in answers.provenance}
    rows = [
        (
            row["block"],
            row["model"],
            *_shown(row),
            _present(results.get((row["block"], row["model"]), {}), row["fits"]),
        )
        for row in answers.plan.to_dict("records")
    ]
    last = ("all", "", *_shown(answers.plan[list(NUMBERS)].sum().to_dict()), "")
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (HEAD, ("---",) * len(HEAD), *rows, last)]
    return "\n".join([*lines, "", *_codes(answers)])


def _shown(row: Mapping[Any, Any]) -> list[str]:
    return [f"{row[name]:{shown}}" for name, shown in NUMBERS.items()]


def _present(results: Mapping[str, list[str]], fits: str) -> str:
    """Evaluations, and their methods where these are not all the same."""
    if not results:
        return NOT_RUN if fits == "yes" else f"{NOT_RUN}: it does not fit into the hours"
    if len({tuple(methods) for methods in results.values()}) == 1:
        return f"{', '.join(results)}: {', '.join(next(iter(results.values())))}"
    return "; ".join(f"{name}: {', '.join(methods)}" for name, methods in results.items())


def _codes(answers: Answers) -> Iterator[str]:
    for each in answers.provenance:
        commit = f"commit `{each['commit'][:12]}`" if each["commit"] else "a commit that is not known"
        files = ", ".join(f"`{name}`" for name in each["changed"])
        changed = f", but with other content of {files}" if files else ""
        other = [*_differing(answers, each)]
        today = f"; params.yaml now has other values of {', '.join(other)}" if other else ""
        yield f"- `{each['block']}-{each['model']}`: code of {commit}{changed}{today}"


def _differing(answers: Answers, made: Mapping[str, Any]) -> Iterator[str]:
    """The keys of what decides the rows whose values in params.yaml are others today."""
    if made["block"] not in answers.study.blocks:
        yield "a block that study.yaml does not have"
        return
    spaces = workspaces(answers.study, answers.params.tree, made["block"])
    today = next((own_params(each.params) for each in spaces if each.model == made["model"]), {})
    tree = made["params"]
    for key in ("seeds", "variants", *made["results"], *(f"{name}" for name in tree["variants"])):
        yield from _leaves(looked_up(tree, key), looked_up(today, key), key)
    for part in ("text", "model", "harvest", "train", *(f"tuned.{name}" for name in tree["variants"])):
        key = f"profiles.{tree['profile']}.{part}"
        yield from _leaves(looked_up(tree, key), looked_up(today, key), key)


def _leaves(was: Any, is_: Any, key: str) -> Iterator[str]:
    if isinstance(was, Mapping) and isinstance(is_, Mapping):
        for name in sorted(was.keys() | is_.keys()):
            yield from _leaves(was.get(name), is_.get(name), f"{key}.{name}")
    elif was != is_:
        yield f"`{key}`"
