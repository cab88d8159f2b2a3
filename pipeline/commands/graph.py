"""Command `graph`: write into dvc.yaml which code each stage depends on, from the imports.

Only lines of `deps` that name code without a `${...}` are rewritten; all others are the author's.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pipeline.console.errors import BadInput
from pipeline.stages.common.code import closure, folded

GRAPH = Path("dvc.yaml")
COMMAND = re.compile(r"^\s+cmd: python -m pipeline (\w+)")
DEPS = re.compile(r"^(\s+)deps:$")


def run() -> None:
    """Rewrite dvc.yaml where its code and the imports differ."""
    if not GRAPH.is_file():
        raise BadInput(f"{GRAPH} is not here: run from the repository root.")
    before = GRAPH.read_text(encoding="utf-8")
    after = with_code(before)
    if after == before:
        print(f"{GRAPH} names the code of every stage.", file=sys.stderr)
        return
    GRAPH.write_text(after, encoding="utf-8")
    print(f"Written: {GRAPH}", file=sys.stderr)


def with_code(text: str) -> str:
    """`text` of a dvc.yaml with the code of every stage as the imports have it."""
    lines: list[str] = []
    stage, within = "", ""
    for line in text.splitlines():
        if found := COMMAND.match(line):
            stage = found.group(1)
        item = f"{within}  - "
        if within and line.startswith(f"{item}pipeline/") and "${" not in line:
            continue
        if not line.startswith(item):
            within = ""
        lines.append(line)
        if found := DEPS.match(line):
            within = found.group(1)
            lines += [f"{within}  - {name}" for name in folded(closure(f"stages.{stage}"))]
    return "\n".join(lines) + "\n"
