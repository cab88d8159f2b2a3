"""Curves of a stage that still runs, as DVC plots of the workspace: what the VS Code extension redraws.

On only where the environment names a folder for them, `LIVE=live`. The curves are one TSV per run; the
folder's own dvc.yaml declares them, so that no stage and no lock knows of them.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

FOLDER = "LIVE"
"""The environment variable."""

EVERY_SECONDS = 1.0
"""Between two points; a point per step would make the file the slowest part of a small step."""


class Curve:
    """The figures of one run against how much of it is done; raises OSError where it cannot write."""

    def __init__(self, folder: Path, title: str, unit: str) -> None:
        self._path = folder / f"{re.sub(r'[^0-9A-Za-z_-]+', '-', title)}.tsv"
        self._unit = unit
        self._names: list[str] = []
        self._added = -math.inf

    def add(self, done: int, figures: Mapping[str, float], last: bool = False) -> None:
        """A point, unless the one before is younger than `EVERY_SECONDS`; the first begins the file anew."""
        now = time.monotonic()
        if not figures or (now - self._added < EVERY_SECONDS and not last):
            return
        self._added = now
        if not self._names:
            self._names = list(figures)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text("\t".join([self._unit, *self._names]) + "\n", encoding="utf-8")
            declare(self._path.parent)
        cells = [str(done), *(f"{figures[name]:.6g}" if name in figures else "" for name in self._names)]
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\t".join(cells) + "\n")


def curve(title: str, unit: str) -> Curve | None:
    """The curve of a run, or None where the environment names no folder."""
    folder = os.environ.get(FOLDER)
    return Curve(Path(folder), title, unit) if folder else None


def declare(folder: Path) -> None:
    """Write the folder's dvc.yaml: a plot per figure and unit, over every run that has them."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(folder.glob("*.tsv")):
        unit, *names = path.read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
        for name in names:
            found.setdefault((name, unit), []).append(path.name)
    plots = [
        {
            f"{name} by {unit}, live": {
                "x": unit,
                "y": dict.fromkeys(files, name),
                "x_label": unit,
                "y_label": name,
                "title": f"{name}, live",
            }
        }
        for (name, unit), files in sorted(found.items())
    ]
    draft = folder / f"dvc.yaml.{os.getpid()}"
    draft.write_text(json.dumps({"plots": plots}, indent=1) + "\n", encoding="utf-8")  # JSON is YAML
    draft.replace(folder / "dvc.yaml")
