"""All numbers of all SAEs as one tidy DataFrame: a row per SAE and metric."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipeline.results.document import Results

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    "evaluation", "metric", "variant", "label", "run", "seed", "reading", "target", "l0", "on_target", "status",
    "value", "low", "high", "items", "reason", "unit", "better", "version", "definition", "aggregate",
    "own_saes", "sae_sha256", "model", "layer", "n", "d",
)  # fmt: skip
"""`low`, `high`: the 95 % interval over `items`. `l0`: on the validation split. `own_saes`: measured on SAEs
that the evaluation trained itself, on activations of its own."""


def tidy(found: Iterable[Results]) -> DataFrame:
    """The numbers of `found` under `COLUMNS`; a missing value is NaN and has its `reason`."""
    import pandas as pd

    rows = [
        {
            **vars(row.identity), **vars(results.definitions[name]), **vars(number),
            "evaluation": results.evaluation, "metric": name, "own_saes": results.own_saes,
        }
        for results in found
        for row in results.rows
        for name, number in row.numbers.items()
    ]  # fmt: skip
    kinds = {"value": "float64", "low": "float64", "high": "float64", "target": "float64", "l0": "float64"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)
