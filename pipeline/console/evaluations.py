"""Which evaluations there are: the rooms of pipeline/metrics that have a section. Found, not listed."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def evaluations() -> list[str]:
    """Names of evaluations, each of a room, a stage, a command and a section of params.yaml."""
    return sorted(path.parent.name for path in (PACKAGE / "metrics").glob("*/section.py"))


def section(room: str, name: str) -> str:
    """Where the section `name` is validated: `SparseProbingSection` of pipeline/{room}/section.py."""
    kind = "".join(part.capitalize() for part in name.split("_"))
    return f"pipeline.{room}.section:{kind}Section.parse"
