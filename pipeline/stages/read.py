"""Reading what another stage wrote: JSON and TSV, or a sentence that names the stage to run."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.console.errors import BadInput


def read_json(path: Path, stage: str) -> Any:
    """What `stage` wrote to `path`; raises BadInput when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path, stage) from None
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({error}): run `dvc repro -f {stage}`.") from None


def read_tsv(path: Path, stage: str) -> list[dict[str, str]]:
    """The rows of the table that `stage` wrote to `path`, as text; raises BadInput when it is missing."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except FileNotFoundError:
        raise _missing(path, stage) from None


def typed(rows: Sequence[Mapping[str, str]], texts: Collection[str] = ()) -> list[dict[str, Any]]:
    """`rows` with numbers where cells are numbers and None where they are empty.

    Columns in `texts` stay text: a word or a label may read as a number.
    """
    return [{name: cell if name in texts else _number(cell) for name, cell in row.items()} for row in rows]


def _number(cell: str) -> float | int | str | None:
    if not cell:
        return None
    for kind in (int, float):
        try:
            number = kind(cell)
        except ValueError:
            continue
        return number if math.isfinite(number) else cell  # `nan` and `inf` may be words
    return cell


def _missing(path: Path, stage: str) -> BadInput:
    return BadInput(f"{path} is missing: run `dvc repro {stage}`.")
