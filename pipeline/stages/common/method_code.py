"""The code that decides what training a method gives, as one hash: the record of tuning is keyed by it."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from pipeline.stages.common.code import PACKAGE, closure

ROOMS = ("sae", "training")
"""Rooms whose code counts: the store and the parameters have hashes of their own in the record."""
DIGITS = 12


@cache
def code_of(variant: str) -> str:
    """Hash of the method's file, of what it imports from its room, and of the loop that trains it.

    Comments, docstrings and layout do not count.
    """
    files = [file for file in closure(f"sae.{variant}", "training.trainer") if file.parts[1] in ROOMS]
    text = "".join(f"{file.as_posix()}\n{stripped(PACKAGE.parent / file)}\n" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


@cache
def stripped(file: Path) -> str:
    """The code at `file` in Python's own layout, without comments and docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
