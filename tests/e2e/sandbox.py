"""A folder that holds what one stage declares in dvc.yaml, and nothing else; and what a run there touched."""

from __future__ import annotations

import ast
import hashlib
import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.common import ROOT
from tests.e2e.clone import Clone

TRACER = Path(__file__).with_name("trace_stage.py")


def package_files_without_code() -> list[str]:
    """The `__init__.py` files that hold a docstring only, or the version: importing them does nothing."""
    paths = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("pipeline/**/__init__.py"))]
    return [path for path in paths if _without_code(ROOT / path)]


def _without_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(
        isinstance(node, (ast.Expr, ast.Assign)) and isinstance(node.value, ast.Constant) for node in body
    )


UNDECLARED_ON_PURPOSE = (
    "pipeline/__main__.py",
    "pipeline/__init__.py",
    "pipeline/console",
    "params.yaml",
    *package_files_without_code(),
)
"""No result depends on these: the command line, the names for notebooks, what the terminal shows,
packages' docstrings. params.yaml is declared key by key."""


@dataclass(frozen=True)
class Stage:
    """One entry of dvc.lock: the resolved declarations of a stage and of its matrix item."""

    name: str
    arguments: list[str]
    deps: list[str]
    outs: list[str]
    params: dict[str, Any]

    @classmethod
    def read(cls, name: str, entry: dict[str, Any]) -> Stage:
        """The stage of a dvc.lock entry."""
        words = shlex.split(entry["cmd"])
        assert words[:3] == ["python", "-m", "pipeline"]
        return cls(
            name,
            words[3:],
            [dep["path"] for dep in entry.get("deps", [])],
            [out["path"] for out in entry.get("outs", [])],
            entry.get("params", {}).get("params.yaml", {}),
        )


def build(stage: Stage, source: Clone, to: Path) -> Clone:
    """Copy the stage's declared files, and a params.yaml of its declared keys, from `source` to `to`."""
    for path in (*stage.deps, *UNDECLARED_ON_PURPOSE):
        origin, target = source.root / path, to / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, target, dirs_exist_ok=True)
        else:
            shutil.copy2(origin, target)
    sandbox = Clone(to)
    tree = _nested(stage.params)
    if "profile" in tree:
        # that the chosen profile exists is checked by every stage; no result depends on it
        tree.setdefault("profiles", {}).setdefault(tree["profile"], {})
    sandbox.set_params(tree)
    return sandbox


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def trace(stage: Stage, sandbox: Clone, notes: Path) -> dict[str, list[str]]:
    """Run the stage under the tracer; what it read, wrote, imported and took from params.yaml."""
    sandbox.run("python", str(TRACER), str(notes), *stage.arguments)
    return json.loads(notes.read_text())


def undeclared(stage: Stage, notes: dict[str, list[str]]) -> list[str]:
    """What the run touched and dvc.yaml does not declare for it, one line each."""
    readable = (*stage.deps, *stage.outs, *UNDECLARED_ON_PURPOSE, ".scratch")
    writable = (*stage.outs, ".scratch")
    return [
        *(f"imports {path}" for path in notes["modules"] if not _covered(path, readable)),
        *(f"reads {path}" for path in notes["read"] if not _covered(path, readable)),
        *(f"writes {path}" for path in notes["written"] if not _covered(path, writable)),
        *(f"reads the parameter {key}" for key in notes["params"] if not _within(key, stage.params)),
    ]


def _covered(path: str, declared: tuple[str, ...]) -> bool:
    # a file is written beside its place first, then renamed: `reports/metrics.json.partial`
    return any(path == entry or path.startswith((f"{entry}/", f"{entry}.")) for entry in declared)


def _within(key: str, declared: dict[str, Any]) -> bool:
    return any(key == entry or key.startswith(f"{entry}.") for entry in declared)


def content(root: Path, outs: list[str]) -> dict[str, str]:
    """Path to hash of every file under `outs`."""
    files = [
        path
        for out in outs
        for path in ([root / out] if (root / out).is_file() else sorted((root / out).rglob("*")))
        if path.is_file()
    ]
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
