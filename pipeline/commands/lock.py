"""What dvc.lock says of a stage: the parameters that its outputs were made with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.console.errors import BadInput

LOCK = Path("dvc.lock")


def locked_params(stage: str, wanted: str) -> Mapping[str, Any]:
    """Values by dotted key; raises BadInput naming `stage`, or `wanted` where nothing was run at all."""
    try:
        entry = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"][stage]
    except FileNotFoundError:
        raise BadInput(f"{LOCK} is missing: run `dvc repro {wanted}`.") from None
    except KeyError:
        raise BadInput(f"{LOCK} does not know stage '{stage}': run `dvc repro {stage}`.") from None
    params: Mapping[str, Any] = entry.get("params", {}).get("params.yaml", {})
    return params
