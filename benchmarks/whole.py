"""Row `run`: the default run in a throwaway clone, by stage; with nothing to do; with one number changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.times import experiment

DONE = re.compile(r"^\[\d+/\d+\] (\w+)(?:@\S+)?: ([\d.]+) s\b")
"""What `reproduce` says of a stage that ran."""
CHANGE = "atm.threshold=0.25"
LOOK_EVERY_SECONDS = 0.5


def rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The one row. The clone holds what is committed; nothing of DVC's cache."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ".", root], check=True)
        (root / "dvc.lock").unlink(missing_ok=True)
        cpu = _cpu_seconds()
        with _memory() as memory:
            seconds, said = _timed(root, "pipeline", "reproduce")
        row = {
            "profile": YAML(typ="safe").load(root / "params.yaml")["profile"], "seconds": seconds,
            "cpu_seconds": _cpu_seconds() - cpu, "memory_mb": max(memory) - min(memory),
            "stages": _stages(said), "experiment": experiment(root),
        }  # fmt: skip
        row["no_op_seconds"], said = _timed(root, "dvc", "repro")
        assert "Running stage" not in said, "the second run was not idle"
        row["exp_seconds"], _ = _timed(root, "dvc", "exp", "run", "-S", CHANGE)
    yield "run", row


def _timed(root: Path, *command: str) -> tuple[float, str]:
    """Seconds of `python -m command` in `root`, and all that it printed."""
    private = root / ".dvc/tmp"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(private / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(private / "global"), "DVC_SYSTEM_CONFIG_DIR": str(private / "system"),
    }  # fmt: skip
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return seconds, done.stdout


def _stages(said: str) -> dict[str, dict[str, float]]:
    """Runs and seconds of each stage; stages run side by side, so these are more than the run's."""
    stages: dict[str, dict[str, float]] = {}
    for name, seconds in (match.groups() for line in said.splitlines() if (match := DONE.match(line))):
        stage = stages.setdefault(name, {"runs": 0, "seconds": 0.0})
        stage["runs"] += 1
        stage["seconds"] += float(seconds)
    return stages


def _cpu_seconds() -> float:
    """Of all processes of the machine since it started: forks of the warm server are nobody's children."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _memory() -> Iterator[list[float]]:
    """MB that the machine has available, again and again, for as long as the block runs."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY_SECONDS if seen else 0):
            available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
            seen.append(int(available[1]) / 1e3 if available else 0.0)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
