"""What tests of several rooms share: the repository's folder, waiting, processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for `true`; fails when it takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended may still wait to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
