"""The page's charts as Vega-Lite specifications, made with Altair; the reader's browser draws them.

Colours, dark mode and the emphasis on one method (parameter `focus`) are set where they are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from pipeline.compare.headline import SCORES, TRUTH, Headline

Row = Mapping[str, Any]
Spec = dict[str, Any]

COLOURS = (
    "#4c78a8",
    "#e07b39",
    "#3a9d5d",
    "#c94f6d",
    "#8867b8",
    "#a8763e",
    "#2e9fb3",
    "#a8941d",
    "#d46fb0",
    "#748894",
    "#5a8f29",
    "#b5533c",
)
"""Of one lightness, so that each reads on the light and on the dark page; Tableau's hues."""

POINTS = 40
"""Points drawn of a training curve."""

PARETO = ("explained_variance", "ce_score", "absorption")
"""Scores drawn against L0."""
TRUTHS = ("recovery", "exact_absorption")


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour per row of the table; a control has its variant's."""
    variants = list(dict.fromkeys(map(variant, labels)))
    return {label: COLOURS[variants.index(variant(label)) % len(COLOURS)] for label in labels}


def variant(label: str) -> str:
    """The method behind a row: a control is named `method (reading)`."""
    return label.split(" (", 1)[0]


def against_l0(curves: Sequence[Row], palette: Mapping[str, str]) -> list[Spec]:
    """L0 against the scores of `PARETO`: a line per row, a band from the lowest to the highest seed."""
    return [_line(curves, column, palette) for column in SCORES if column.name in PARETO]


def truth_against_l0(curves: Sequence[Row], palette: Mapping[str, str]) -> list[Spec]:
    """The same of synthetic activations."""
    return [_line(curves, column, palette) for column in TRUTH if column.name in TRUTHS]


def _line(curves: Sequence[Row], column: Headline, palette: Mapping[str, str]) -> Spec:
    rows = [
        {
            "label": row["label"],
            "control": variant(str(row["label"])) != row["label"],
            **{key: _short(row[key]) for key in ("l0", "value", "low", "high")},
        }
        for row in curves
        if (row["stage"], row["metric"]) == column.key and row["value"] is not None and row["l0"]
    ]
    better = {"higher": "higher is better", "lower": "lower is better", "neither": ""}[column.better]
    return _banded(
        rows,
        alt.X(
            "l0:Q",
            title="L0, active latents per token (log)",
            axis=alt.Axis(values=sorted({row["target"] for row in curves if row["stage"] == column.stage})),
            scale=alt.Scale(type="log", nice=False, padding=12),
        ),
        alt.Y("value:Q", title=f"{column.title} ({better})", scale=alt.Scale(zero=False)),
        palette,
        points=True,
        title=column.title,
    )


def training(rows: Sequence[Row], palette: Mapping[str, str]) -> list[Spec]:
    """Explained variance and L0 in training, a chart per target: mean and range over seeds."""
    targets = sorted({row["target"] for row in rows if row["target"] is not None})
    specs = []
    for target in targets:
        here = [row for row in rows if row["target"] == target]
        for key, title, scale in (
            ("explained_variance", "explained variance of the batch", alt.Scale(domain=[0.5, 1], clamp=True)),
            ("l0", "L0 of the batch (log)", alt.Scale(type="log")),
        ):
            specs.append(
                _banded(
                    _over_seeds(here, key),
                    alt.X("tokens:Q", title="training tokens", axis=alt.Axis(format="~s", tickCount=5)),
                    alt.Y("value:Q", title=title, scale=scale),
                    palette,
                    title=f"L0 target {target:g}",
                )
            )
    return specs


def _over_seeds(rows: Sequence[Row], key: str) -> list[dict[str, Any]]:
    found: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        if row[key] is not None and row["tokens"] is not None and (key != "l0" or row[key] > 0):
            found.setdefault((str(row["label"]), row["tokens"]), []).append(row[key])
    tokens = sorted({at for _, at in found})
    kept = set(tokens[::-1][:: max(1, -(-len(tokens) // POINTS))])
    return [
        {
            "label": label,
            "control": variant(label) != label,
            "tokens": at,
            "value": _short(sum(values) / len(values)),
            "low": _short(min(values)),
            "high": _short(max(values)),
        }
        for (label, at), values in found.items()
        if at in kept
    ]


def _banded(
    rows: list[dict[str, Any]],
    x: Any,
    y: Any,
    palette: Mapping[str, str],
    *,
    title: str,
    points: bool = False,
) -> Spec:
    focus = alt.param(name="focus", value="")
    near = "focus == '' || datum.label == focus"
    shown = {row["label"] for row in rows}
    labels = [label for label in palette if label in shown]
    colour = alt.Color(
        "label:N", legend=None, scale=alt.Scale(domain=labels, range=[palette[label] for label in labels])
    )
    tooltip = [
        alt.Tooltip("label:N", title="SAE"),
        alt.Tooltip(x["shorthand"], format=".4~g"),
        alt.Tooltip("value:Q", format=".4~g"),
        alt.Tooltip("low:Q", title="lowest seed", format=".4~g"),
        alt.Tooltip("high:Q", title="highest seed", format=".4~g"),
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=colour)
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title=y["title"], scale=y["scale"]),
        y2="high:Q",
        opacity=alt.condition(near, alt.value(0.16), alt.value(0.02)),
    )
    strong = alt.condition(near, alt.value(1.0), alt.value(0.1))
    dash = alt.StrokeDash(
        "control:N", legend=None, scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]])
    )
    line = base.mark_line(clip=True, strokeWidth=1.8).encode(y=y, strokeDash=dash, opacity=strong)
    layers = [band, line]
    if points:
        layers.append(base.mark_point(filled=True, size=55).encode(y=y, opacity=strong, tooltip=tooltip))
    else:
        layers.append(base.mark_point(opacity=0, size=60).encode(y=y, tooltip=tooltip))
    return _finish(alt.layer(*layers).add_params(focus), title, 260)


def letters(rows: Sequence[Row]) -> list[Spec]:
    """Absorption fraction by first letter, a chart per target; a dropped letter stays empty."""
    return [
        _heat(
            [
                {
                    "label": row["label"],
                    "x": row["letter"],
                    "value": _short(row["fraction"]),
                    "words": row["words"],
                }
                for row in rows
                if row["target"] == target and row["fraction"] is not None
            ],
            "first letter",
            "absorption fraction",
            f"L0 target {target:g}",
            ["words"],
        )
        for target in sorted({row["target"] for row in rows if row["target"] is not None})
    ]


def probing(problems: Sequence[Row], targets: Mapping[str, float]) -> list[Spec]:
    """Accuracy of one-latent probes by task, mean over seeds; a chart per target, with raw references."""
    specs = []
    for target in sorted(set(targets.values())):
        here = [row for row in problems if targets.get(str(row["run"])) == target and row["k"] == 1]
        found: dict[tuple[str, str], list[float]] = {}
        for row in here:
            task = f"{row['set']}: {row['class']}"
            if row["accuracy"] is not None:
                found.setdefault((str(row["label"]), task), []).append(row["accuracy"])
            for key, name in (("raw_neurons", "raw residual, neuron"), ("raw_dense", "raw residual, dense")):
                if row[key] is not None:
                    found.setdefault((name, task), []).append(row[key])
        rows = [
            {"label": label, "x": task, "value": _short(sum(each) / len(each))}
            for (label, task), each in found.items()
        ]
        rows.sort(key=lambda row: str(row["label"]).startswith("raw residual"))
        specs.append(_heat(rows, "task: class", "accuracy, k = 1", f"L0 target {target:g}"))
    return specs


def _heat(rows: list[dict[str, Any]], x: str, value: str, title: str, extra: Sequence[str] = ()) -> Spec:
    labels = list(dict.fromkeys(row["label"] for row in rows))
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_rect()
        .encode(
            x=alt.X(
                "x:N",
                title=x,
                sort=None,
                axis=alt.Axis(labelAngle=-60 if x != "first letter" else 0, labelLimit=140),
            ),
            y=alt.Y("label:N", title=None, sort=labels, axis=alt.Axis(labelLimit=160)),
            color=alt.Color("value:Q", title=value, scale=alt.Scale(scheme="viridis")),
            tooltip=[
                alt.Tooltip("label:N", title="row"),
                alt.Tooltip("x:N", title=x),
                alt.Tooltip("value:Q", title=value, format=".3f"),
                *(alt.Tooltip(f"{name}:Q", title=name) for name in extra),
            ],
        )
    )
    return _finish(chart, title, 19 * max(len(labels), 1))


def _finish(chart: Any, title: str, height: int) -> Spec:
    spec: Spec = chart.properties(width="container", height=height, title=title).to_dict()
    spec.pop("$schema")  # the bundle's own version; the page names no address
    spec.pop("config", None)
    return spec


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
