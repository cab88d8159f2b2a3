"""All numbers of all SAEs as one tidy DataFrame: a row per SAE and metric."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.console.errors import BadInput
from pipeline.numbers.document import NAME, Identity, Results, read_results, stage_of

if TYPE_CHECKING:
    from pandas import DataFrame

SAE = (
    "variant", "label", "run", "seed", "reading", "target", "l0", "on_target", "status", "diverged",
    "sae_sha256", "model", "layer", "n", "d",
)  # fmt: skip
"""Columns that say which SAE. `l0`: on the validation split. `diverged`: why, if it did."""
NUMBER = ("value", "low", "high", "items", "reason")
"""The number itself; `low` and `high` bound its 95 % interval over `items`."""
MEANING = ("unit", "better", "version", "definition", "aggregate", "own_saes")
"""What it means. `own_saes`: measured on SAEs that the evaluation itself trained, on other activations."""
COLUMNS = ("evaluation", "metric", *SAE, *NUMBER, *MEANING)


def tidy(found: Iterable[Results]) -> DataFrame:
    """The numbers of `found` under `COLUMNS`; a missing value is NaN and has its `reason`."""
    import pandas as pd

    rows = [
        {
            **vars(row.identity), **vars(results.definitions[name]), **vars(number), "metric": name,
            "evaluation": results.evaluation, "own_saes": results.own_saes,
            "diverged": _diverged(row.identity),
        }
        for results in found
        for row in results.rows
        for name, number in row.numbers.items()
    ]  # fmt: skip
    kinds = {
        "value": "float64",
        "low": "float64",
        "high": "float64",
        "target": "float64",
        "l0": "float64",
        "layer": "Int64",
    }
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)


def results(folder: str | Path = "reports/evaluations") -> DataFrame:
    """Every number that lies in `folder`, reports/evaluations of a repository, as `tidy` gives it.

    Raises BadInput when the folder holds none, or for a damaged results.json.
    """
    found = [
        read_results(path.parent, stage_of(path.parent.parent.name, path.parent.name))
        for path in sorted(Path(folder).glob(f"*/*/{NAME}"))
    ]
    if not found:
        raise BadInput(f"{Path(folder).as_posix()} holds no results: run `dvc repro`.")
    return tidy(found)


def _diverged(sae: Identity) -> str | None:
    return (sae.reason or "no reason given") if sae.status == "diverged" else None
