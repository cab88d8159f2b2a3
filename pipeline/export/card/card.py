"""The model card of a published SAE: what it is, how good it measured, how to make it again."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from ruamel.yaml import YAML

from pipeline.compare.escape import plain
from pipeline.numbers.document import Results

TEMPLATE = "card.md.j2"
TAGS = ["sparse-autoencoder", "saelens", "mechanistic-interpretability"]


@dataclass(frozen=True)
class Line:
    """One line of the card's tables."""

    title: str
    better: str  # which way is better; empty for neither
    value: str
    interval: str
    seeds: str  # the range over the training seeds of this run
    items: int
    definition: str


@dataclass(frozen=True)
class Origin:
    """What the SAE was made from and by."""

    base_model: str | None  # a model of the hub
    datasets: Sequence[str]  # datasets of the hub
    facts: Mapping[str, Any]
    params: Mapping[str, Any]  # the part of params.yaml that its numbers depend on, nested
    commands: Sequence[str]
    repository: str | None  # where the card is uploaded to


def card(title: str, origin: Origin, evaluations: Sequence[Results], seed: int, run: str) -> str:
    """README.md: YAML front matter and Markdown. `evaluations` are the results.json of its variant."""
    lines = [line for results in evaluations for line in _lines(results, seed, run)]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=False,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(TEMPLATE).render(
        front=_yaml(_front(origin)),
        title=plain(title),
        facts={plain(name): plain(str(value)) for name, value in origin.facts.items() if value is not None},
        headlines=[line for headline, line in lines if headline],
        others=[line for headline, line in lines if not headline],
        params=_yaml(origin.params),
        commands=origin.commands,
        repository=origin.repository,
    )


def _front(origin: Origin) -> dict[str, Any]:
    front: dict[str, Any] = {"library_name": "saelens", "tags": TAGS}
    if origin.base_model is not None:
        front["base_model"] = origin.base_model
    if origin.datasets:
        front["datasets"] = list(origin.datasets)
    return front


def _lines(results: Results, seed: int, run: str) -> list[tuple[bool, Line]]:
    """The numbers of one evaluation that are meant for tables, and whether each is a headline."""
    rows = {row.identity.seed: row.numbers for row in results.rows if row.identity.run == run}
    lines = []
    for name, definition in results.definitions.items():
        if not definition.aggregate or name not in rows[seed]:
            continue
        number, headline = rows[seed][name], definition.headline
        over = [numbers[name].value for numbers in rows.values() if name in numbers]
        known = [value for value in over if value is not None]
        value = f"not measured: {number.reason}" if number.value is None else _text(number.value)
        low, high = number.low, number.high
        lines.append((headline is not None, Line(
            title=plain(headline.title if headline else name),
            better=definition.better.replace("neither", ""),
            value=plain(value),
            interval="" if low is None or high is None else f"{_text(low)} to {_text(high)}",
            seeds=f"{_text(min(known))} to {_text(max(known))} ({len(known)})" if len(known) > 1 else "",
            items=number.items,
            definition=plain(definition.definition),
        )))  # fmt: skip
    return lines


def _text(value: float) -> str:
    return f"{value:.4g}"


def _yaml(value: Mapping[str, Any]) -> str:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(dict(value), stream)
    return stream.getvalue().rstrip()
