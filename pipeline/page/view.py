"""Everything the template and the script need, from the artefacts' plain content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.charts import altair as charts
from pipeline.compare.headline import ARROW, TRUTH_STAGE
from pipeline.page.standing import groups

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Artefacts:
    """What the stages before wrote, read and not yet interpreted."""

    report: Mapping[str, Any]
    curves: Sequence[Row]
    pairs: Sequence[Row]
    training: Sequence[Row]
    letters: Sequence[Row]
    problems: Sequence[Row]
    claims: Sequence[Mapping[str, Any]]
    latents: Sequence[Mapping[str, Any]]
    params: Mapping[str, Any]
    versions: Sequence[str]


def view(found: Artefacts) -> dict[str, Any]:
    """The template's names."""
    standing = groups(found.curves, found.pairs)
    labels = list(dict.fromkeys(label for group in standing for label in group.labels))
    palette = charts.colours(labels)
    on_text = [row for row in found.curves if row["stage"] != TRUTH_STAGE]
    targets = {str(row["run"]): row["target"] for row in on_text}
    drawn = {
        "pareto": charts.against_l0(found.curves, palette),
        "training": charts.training(found.training, palette),
        "letters": charts.letters(found.letters),
        "probing": charts.probing(found.problems, targets),
        "truth": charts.truth_against_l0(found.curves, palette),
    }
    return {
        "title": found.report["title"],
        "report": found.report,
        "arrow": ARROW,
        "standing": standing,
        "palette": palette,
        "controls": [label for label in labels if charts.variant(label) != label],
        "charts": {name: len(specs) for name, specs in drawn.items()},
        "claims": found.claims,
        "browser": bool(found.latents),
        "params": list(
            _flat({**found.params, **{each["variant"]: each["params"] for each in found.latents}})
        ),
        "versions": found.versions,
        "data": {"charts": drawn, "browser": list(found.latents)},
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            lines += _flat(value, f"{name}.")
        else:
            lines.append((name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return lines
