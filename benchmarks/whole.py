"""Row `run`: `dvc repro` of params.yaml in a throwaway clone, by stage, and once more with nothing to do."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

RUNNING = re.compile(r"^Running stage '([^'@]+)")


def rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The one row. The clone holds what is committed; nothing of DVC's cache."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ".", root], check=True)
        (root / "dvc.lock").unlink(missing_ok=True)
        start = time.perf_counter()
        stages = _repro(root)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
        start = time.perf_counter()
        again = _repro(root)
        no_op = time.perf_counter() - start
        assert not again, f"the second run was not idle: {sorted(again)}"
        profile = YAML(typ="safe").load(root / "params.yaml")["profile"]
    yield "run", {
        "profile": profile, "seconds": seconds, "no_op_seconds": no_op, "peak_mb": peak, "stages": stages,
    }  # fmt: skip


def _repro(root: Path) -> dict[str, dict[str, float]]:
    """Seconds and runs of each stage, from when DVC says that it starts one to when it starts the next."""
    private = root / ".dvc/tmp"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(private / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(private / "global"), "DVC_SYSTEM_CONFIG_DIR": str(private / "system"),
    }  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    name, since = None, time.perf_counter()
    command = [sys.executable, "-m", "dvc", "repro"]
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if (started := RUNNING.match(line)) is None:
                continue
            now = time.perf_counter()
            _add(found, name, now - since)
            name, since = started.group(1), now
        _add(found, name, time.perf_counter() - since)
    if process.returncode:
        raise RuntimeError(f"dvc repro ended with {process.returncode}: run it in a clone to see why")
    return found


def _add(found: dict[str, dict[str, float]], name: str | None, seconds: float) -> None:
    if name is not None:
        stage = found.setdefault(name, {"runs": 0, "seconds": 0.0})
        stage["runs"] += 1
        stage["seconds"] += seconds
