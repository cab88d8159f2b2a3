"""JSON files of the stages: written complete or not at all; reading names the stage to run for a bad one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipeline.console.errors import BadInput

SCHEMAS = {"report.json": 2, "standing.json": 2, "claims.json": 1, "latents.json": 2, "intervals.json": 1}
"""The form of each document that one stage writes for another, under its key `schema`."""


def write_json(path: Path, value: Any) -> None:
    """Write `value` with sorted keys, complete or not at all; NaN and infinity are refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_json(path: Path, stage: str) -> Any:
    """What `stage` wrote to `path`; raises BadInput when it is missing, damaged or not of its schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise absent(path, stage) from None
    except ValueError as error:
        raise damaged(path, stage, error) from None
    schema = SCHEMAS.get(path.name)
    if schema is not None and (not isinstance(content, dict) or content.get("schema") != schema):
        raise damaged(path, stage, f"it is not of schema {schema}")
    return content


def absent(path: Path, stage: str) -> BadInput:
    """What to say when `path` does not exist."""
    return BadInput(f"{path} is missing: run `dvc repro {stage}`.")


def damaged(path: Path, stage: str, error: Exception | str) -> BadInput:
    """What to say when `path` cannot be read."""
    return BadInput(f"{path} is damaged ({error}): run `dvc repro -f {stage}`.")
