"""The default run's times, put into README.md and docs/dvc.md between `<!-- x -->` and `<!-- /x -->`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.handbook.marks import filled

PAGES = (Path("README.md"), Path("docs/dvc.md"))
OTHER = "(Both figures are of older code, with other variants or seeds.)"


def write(row: Mapping[str, Any]) -> None:
    """Put the figures of row `run` into the pages."""
    found = figures(row)
    for page in PAGES:
        text = filled(page.read_text(encoding="utf-8"), lambda mark: found.get(mark.name))
        page.write_text(text, encoding="utf-8")


def figures(row: Mapping[str, Any]) -> dict[str, str]:
    """What each mark stands for; marks of what was not measured are left out."""
    machine = row["machine"]
    times = {"time": "seconds", "no-op-time": "no_op_seconds", "exp-time": "exp_seconds"}
    said = {mark: clock(row[key]) for mark, key in times.items() if key in row}
    said["time"] += f" on {machine['cores']} cores ({machine['cpu']}, load {machine['load']})"
    said["time-note"] = "" if row.get("experiment") == experiment(Path()) else OTHER
    said["memory"] = f"{row['memory_mb'] / 1000:.1f} GB of memory"
    spent = sorted(row["stages"].items(), key=lambda stage: -stage[1]["seconds"])
    said["stages"] = ", ".join(f"{name} {each['seconds']:.0f} ({each['runs']})" for name, each in spent)
    return said


def experiment(root: Path) -> dict[str, Any]:
    """What the default run under `root` trains: its `variants` and `seeds`."""
    params = YAML(typ="safe").load(root / "params.yaml")
    return {name: params[name] for name in ("variants", "seeds")}


def clock(seconds: float) -> str:
    """`seconds` as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return f"{minutes} min {rest} s"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
