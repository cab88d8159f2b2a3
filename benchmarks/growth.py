"""Rows `growth/*`: time and peak memory of training against n, d and tokens, of reading against the store.

Every point is a process of its own; its memory is what the peak of the measured part rises by over what was
resident before it (Linux' VmHWM, set back by clear_refs).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.problem import Problem, Shape, activations

BATCH, L0, STEPS = 1024, 32, 8
WIDTHS, DIMENSIONS = (1024, 2048, 4096, 8192), (64, 128, 256, 512)
D, N = 128, 4096
"""Held while the other one grows."""
TOKENS = (25_000, 50_000, 100_000, 200_000)
STORE_D, CONTEXT = 16, 128
STORE_ROWS = tuple(2**power for power in (20, 21, 22))
"""Rows of the stores that are read, all larger than a reader's pool of 2^19 of them."""


def rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """One row per axis."""
    by_n = [_point("step", D, n) | {"x": n} for n in WIDTHS]
    yield "growth/n", {"axis": "dictionary size n", "fixed": f"d {D}, batch {BATCH}, L0 {L0}", "points": by_n}
    by_d = [_point("step", d, N) | {"x": d} for d in DIMENSIONS]
    yield "growth/d", {"axis": "dimension d", "fixed": f"n {N}, batch {BATCH}, L0 {L0}", "points": by_d}
    by_tokens = [_point("train", tokens, 0) | {"x": tokens} for tokens in TOKENS]
    fixed = "whole training: standard, d 64, n 512, batch 256"
    yield "growth/tokens", {"axis": "tokens trained on", "fixed": fixed, "points": by_tokens}
    by_store = [_point("read", size, 0) | {"x": size} for size in STORE_ROWS]
    fixed = f"one shuffled pass, d {STORE_D}, float32, pool of 2^19 rows"
    yield "growth/store", {"axis": "tokens in the store", "fixed": fixed, "points": by_store}


def _point(what: str, a: int, b: int) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.growth", what, str(a), str(b)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def step(d: int, n: int) -> dict[str, float]:
    """CPU seconds of a step of standard, fastest of `STEPS`, and the process' peak memory."""
    from benchmarks.ours import stepper

    problem = Problem(Shape(d, n, BATCH, L0, "cpu"), batches=2)
    before = _resident()
    work, _ = stepper(problem, "standard", "float32")
    times = [_clock(work) for _ in range(STEPS)]
    return {"seconds": min(times), "mb": _peak() - before}


def train(tokens: int, _: int) -> dict[str, float]:
    """CPU seconds and peak memory of a training on a store that stays as it is."""
    from pipeline.store import Store
    from pipeline.training.job import Job
    from pipeline.training.run import train as run
    from pipeline.training.section import TrainSection

    x = activations(64, 1024 * CONTEXT, torch.Generator().manual_seed(0))
    store = Store.from_tensors(
        x, context_length=CONTEXT, splits={"train": (0, 960), "validation": (960, 1024)}
    )
    section = TrainSection(
        n=512, l0=[16], tokens=tokens, batch=256, lr=1e-3, dead_tokens=50_000, validation_tokens=4096,
        log_every=25, checkpoint_every=10**6,
    )  # fmt: skip
    before = _resident()
    seconds = _clock(lambda: run(Job.of("standard", {}, 0), section, store, torch.device("cpu")))
    return {"seconds": seconds, "mb": _peak() - before}


def read(size: int, _: int) -> dict[str, float]:
    """CPU seconds and peak memory of one shuffled pass over a store on disk of `size` tokens."""
    from benchmarks.store import drain, write_in_parts
    from pipeline.store import Reader

    with tempfile.TemporaryDirectory() as place:
        store = write_in_parts(size, STORE_D, Path(place) / "store")
        before = _resident()
        reader = Reader(store, "train", "tokens", 4096, 0)
        seconds = _clock(lambda: drain(reader.next() for _ in range(reader.epoch_rows // 4096)))
        return {"seconds": seconds, "mb": _peak() - before, "store_mb": size * STORE_D * 4 / 1e6}


def _clock(work: Any) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _resident() -> float:
    """MB resident now; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _peak() -> float:
    """MB resident at most since `_resident`."""
    return _status("VmHWM")


def _status(name: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    [kib] = re.findall(rf"{name}:\s+(\d+) kB", text)
    return int(kib) * 1024 / 1e6


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"step": step, "train": train, "read": read}[sys.argv[1]](*map(int, sys.argv[2:]))))
