"""How many processes may work at once; apart from processes.py because it needs no torch."""

from __future__ import annotations

import os

from pipeline.console.errors import BadInput

WORKERS = "SAELINE_WORKERS"
"""The environment variable that says how many processes a stage may use. No parameter: it changes no bit."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers() -> int:
    """How many processes a stage may use: `SAELINE_WORKERS`, else the cores that this process may use."""
    asked = os.environ.get(WORKERS)
    if asked is None:
        return cores()
    if not asked.isdigit() or int(asked) < 1:
        raise BadInput(f"{WORKERS} must be a whole number of processes, at least 1, not {asked!r}.")
    return int(asked)
