"""Which files of the package a stage can run: the closure of its imports, also those inside functions.

dvc.yaml declares them (`python -m pipeline graph` writes them there) and the scratch folder of a killed
stage is keyed by them, so that neither list is kept by hand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]

SHOWN_ONLY = ("console",)
"""Rooms that change no result: what a person at the terminal sees."""

APART = {Path("pipeline") / name for name in ("stages", "commands", "metrics", "tasks", "sae")}
"""Folders whose parts have nothing to do with one another: never a dependency as a whole."""

TRAINING, METHODS = PACKAGE / "training/job.py", PACKAGE / "sae"
"""Training imports a method by its name, which no import says."""


def closure(*starts: str) -> list[Path]:
    """The files, relative to the repository root, that importing the modules `starts` can run.

    `starts` are dotted names below the package (`stages.train`). Templates and tables that lie beside the
    code come with it; files without code (a docstring, or nothing) and what only shows are left out.
    What methods share is part of training; the file of each method is not, because a stage trains one.
    """
    found: set[Path] = set()
    waiting = [name for start in starts for name in _packages_and(f"pipeline.{start}")]
    while waiting:
        file = _file(waiting.pop())
        if file is None or file in found:
            continue
        found.add(file)
        waiting += _imports(file)
        if file == TRAINING:
            waiting += [f"pipeline.sae.{each.stem}" for each in METHODS.glob("*.py")]
    wanted = {PACKAGE.joinpath(*start.split(".")).with_suffix(".py") for start in starts}
    code = {file for file in found if _counts(file) and (file.parent != METHODS or file in wanted)}
    beside = {
        each for file in code for each in file.parent.iterdir() if each.is_file() and each.suffix != ".py"
    }
    return sorted(file.relative_to(PACKAGE.parent) for file in code | beside)


def folded(files: list[Path]) -> list[str]:
    """`files` with every folder of which they are at least half in place of its files.

    A folder keeps the list short; a few files of a large one keep a stage from running for the others.
    """
    names = {file.as_posix() for file in files}
    folders = {parent for file in files for parent in file.parents if len(parent.parts) > 1}
    for folder in sorted(folders - APART, key=lambda each: (len(each.parts), each)):
        own = {file.relative_to(PACKAGE.parent).as_posix() for file in _below(PACKAGE.parent / folder)}
        if len(own) > 1 and 2 * len(own & names) >= len(own):
            names = (names - own) | {folder.as_posix()}
    return sorted(names)


def _below(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and _counts(file)]


def _counts(file: Path) -> bool:
    """Whether a result can depend on `file`."""
    parts = file.relative_to(PACKAGE).parts
    if "__pycache__" in parts or parts[0] in (*SHOWN_ONLY, "__init__.py", "__main__.py"):
        return False
    return file.suffix != ".py" or _has_code(file)


@cache
def _has_code(file: Path) -> bool:
    return any(
        not (isinstance(node, (ast.Expr, ast.Assign)) and isinstance(node.value, ast.Constant))
        for node in _tree(file).body
    )


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """The package's modules that `file` imports, with the packages around them."""
    return tuple(part for name in _names(_tree(file)) for part in _packages_and(name))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _packages_and(name: str) -> list[str]:
    """`name` and the packages it lies in; nothing for another package's module."""
    parts = name.split(".")
    if parts[0] != "pipeline":
        return []
    return [".".join(parts[:end]) for end in range(2, len(parts) + 1)]


def _file(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file
    return None
