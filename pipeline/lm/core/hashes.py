"""Hashes of files, by which weights are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

BLOCK = 2**22
"""Bytes read at a time."""


def sha256(*paths: Path) -> str:
    """Of the contents of all `paths`, one after another."""
    digest = hashlib.sha256()
    for block in _blocks(paths):
        digest.update(block)
    return digest.hexdigest()


def _blocks(paths: Iterable[Path]) -> Iterable[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
