"""The raw rows on disk: one JSON file per kind of machine, a row with what the machine did at the time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, machine_class

FOLDER = Path("docs/benchmarks")


def save(key: str, record: dict[str, Any]) -> None:
    """Put one row into this machine's file, in place of an earlier one."""
    machine = describe()
    path = FOLDER / f"{machine_class(machine)}.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = load(path) if path.exists() else {}
    rows[key] = {"machine": machine, **record}
    path.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, dict[str, Any]]:
    """Every row of one machine."""
    return json.loads(path.read_text(encoding="utf-8"))
