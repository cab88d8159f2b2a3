"""Tables: tab-separated files whose columns are declared with their types, read as pandas DataFrames.

A declared type keeps text text: the classes `01`, `1` and `1.0` of a user's file are three. An empty cell is
a missing number, or an empty text. pandas is imported where a table is read: writing needs none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.numbers.files import absent, damaged

if TYPE_CHECKING:
    from pandas import DataFrame

Columns = Mapping[str, type]
"""The columns of a table in their order, each `str`, `int` or `float`."""

NAMES = {str: "string", int: "integer", float: "number"}
"""The types as files name them (Frictionless Data's Table Schema)."""


def write_table(path: Path, columns: Columns, rows: Iterable[Mapping[str, Any]] | DataFrame) -> None:
    """Write `rows` under `columns`: LF, floats with nine significant digits, nothing for None and NaN.

    Raises ValueError for an integer column with another number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        kinds = list(columns.items())
        for row in _records(rows):
            writer.writerow([_cell(row[name], kind, name) for name, kind in kinds])


def read_table(path: Path, columns: Columns, stage: str) -> DataFrame:
    """The table that `stage` wrote to `path`, its columns as declared; further ones are left out.

    Integers with missing cells are pandas' `Int64`. Raises BadInput for a missing or damaged file.
    """
    import pandas as pd

    kinds = {name: {str: "str", int: "Int64", float: "float64"}[kind] for name, kind in columns.items()}
    numbers = {name: [""] for name, kind in columns.items() if kind is not str}
    try:
        table = pd.read_csv(
            path, sep="\t", encoding="utf-8", usecols=list(columns), dtype=kinds,
            keep_default_na=False, na_values=numbers,
        )  # fmt: skip
    except FileNotFoundError:
        raise absent(path, stage) from None
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, stage, error) from None
    whole = [name for name, kind in columns.items() if kind is int and not table[name].hasnans]
    return table[list(columns)].astype(dict.fromkeys(whole, "int64"))


def _records(rows: Any) -> Iterable[Mapping[str, Any]]:
    """Rows as they are given, or those of a DataFrame, with None where it has no value."""
    if not hasattr(rows, "notna"):
        return rows
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def _cell(value: Any, kind: type, column: str) -> Any:
    if value is None or value != value or value == "":
        return ""
    if kind is str:
        return value
    if kind is int and int(value) != value:
        raise ValueError(f"column {column} holds integers, not {value!r}")
    return int(value) if kind is int else f"{value:.9g}" if isinstance(value, float) else value
