"""Where unfinished work, logs, timings and sockets lie: ignored by git and DVC, free to be removed."""

from __future__ import annotations

from pathlib import Path

SCRATCH = Path(".scratch")
