"""The templates of `dvc plots`, filled in as DVC does it: they draw every label of their table."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import vl_convert

from tests.charts import made
from tests.common import ROOT

PARETO = pd.DataFrame(
    {"label": label, "run": "l0-4", "target": 4.0, "l0": 4.1, "explained_variance": 0.9}
    for label in made.LABELS
)
TRAINING = made.training().assign(curve=lambda rows: rows["label"] + rows["seed"].astype(str), run="l0-4")


@pytest.mark.parametrize(
    ("template", "table", "x", "y"),
    [
        ("pareto", PARETO, "l0", "explained_variance"),
        ("curves", TRAINING, "tokens", "explained_variance"),
        ("curves_log", TRAINING, "tokens", "l0"),
        ("letters", made.letters().assign(full=0.1), "letter", "label"),
    ],
)
def test_a_template_draws_its_table(template: str, table: pd.DataFrame, x: str, y: str) -> None:
    text = (ROOT / ".dvc/plots" / f"{template}.json").read_text(encoding="utf-8")
    rows = table.assign(rev="workspace").to_dict("records")
    cells = [{name: "" if pd.isna(cell) else str(cell) for name, cell in row.items()} for row in rows]
    text = text.replace('"<DVC_METRIC_DATA>"', json.dumps(cells))
    names = {"X": x, "Y": y, "X_LABEL": "across", "Y_LABEL": "up", "TITLE": "the title"}
    for name, value in names.items():
        text = text.replace(f"<DVC_METRIC_{name}>", value)
    svg = vl_convert.vegalite_to_svg(json.loads(text))
    assert all(f">{each}</text>" in svg for each in (*made.LABELS, "across", "the title"))
