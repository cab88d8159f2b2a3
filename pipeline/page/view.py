"""Everything the template and the script need, from the artefacts' plain content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.charts import look
from pipeline.charts.figures import TRUTH, embedded, panels
from pipeline.charts.pareto import Headlines
from pipeline.compare.columns import ARROW

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Artefacts:
    """What the stages before wrote, read and not yet interpreted."""

    report: Mapping[str, Any]
    planned: Mapping[str, Any]
    standing: Sequence[Mapping[str, Any]]
    tables: Mapping[str, pd.DataFrame]  # summary, training, letters, probing
    claims: Sequence[Mapping[str, Any]]
    latents: Sequence[Mapping[str, Any]]
    params: Mapping[str, Any]
    versions: Sequence[str]


def view(artefacts: Artefacts) -> dict[str, Any]:
    """The template's names."""
    report, summary = artefacts.report, artefacts.tables["summary"]
    methods = look.methods(summary["label"])
    labels = list(dict.fromkeys(summary["label"]))
    charts = {
        name: [embedded(panel) for panel in each]
        for name, each in panels(artefacts.tables, scores(report)).items()
    }
    own = {each["variant"]: each["params"] for each in artefacts.latents}
    return {
        "title": report["title"],
        "report": report,
        "arrow": ARROW,
        "planned": artefacts.planned,
        "standing": artefacts.standing,
        "places": {label: methods.index(look.method(label)) % len(look.SHAPES) for label in labels},
        "colours": look.COLOURS,
        "controls": [label for label in labels if look.method(label) != label],
        "charts": {name: len(each) for name, each in charts.items()},
        "claims": artefacts.claims,
        "browser": bool(artefacts.latents),
        "params": list(_flat({**artefacts.params, **own})),
        "versions": artefacts.versions,
        "data": {
            "charts": charts,
            "look": {theme: look.config(theme) for theme in look.COLOURS},
            "browser": list(artefacts.latents),
        },
    }


def scores(report: Mapping[str, Any]) -> Headlines:
    """The headline scores of all tables, each once."""
    sources = (("text", report["groups"]), (TRUTH, report["truth"]))
    columns = [
        {**column, "source": source}
        for source, groups in sources
        for group in groups
        for column in group["columns"]
    ]
    return list({(each["stage"], each["metric"]): each for each in columns if each["name"] != "l0"}.values())


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
