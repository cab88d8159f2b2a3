"""Interleaved timing: every contestant once per round, A B C A B C, medians over rounds.

A neighbour on the machine then slows all of them alike, so that ratios hold where absolute times do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Work = Callable[[], Any]


@dataclass
class Timed:
    """One contestant's rounds, in seconds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # of all threads of this process

    def record(self) -> dict[str, Any]:
        """What is kept: medians, and every round, because ratios are taken round by round."""
        return {
            "seconds": statistics.median(self.wall),
            "cpu_seconds": statistics.median(self.cpu),
            "wall": [round(each, 6) for each in self.wall],
            "cpu": [round(each, 6) for each in self.cpu],
        }


def ratio(record: dict[str, Any], other: dict[str, Any], clock: str) -> float:
    """Median over rounds of `record` over `other`, both as `Timed.record` gives them; `clock` wall or cpu."""
    both = zip(record[clock], other[clock], strict=True)
    return statistics.median(a / max(b, 1e-9) for a, b in both)


def interleave(
    contestants: Mapping[str, Work], rounds: int, seconds: float, warm: int = 2
) -> dict[str, dict[str, Any]]:
    """Run every contestant `warm` times unmeasured, then in rounds until `rounds` or `seconds` are used up.

    At least three rounds are measured, whatever they take.
    """
    for work in contestants.values():
        for _ in range(warm):
            work()
    timed = {name: Timed() for name in contestants}
    end = time.perf_counter() + seconds
    for index in range(rounds):
        if index >= 3 and time.perf_counter() > end:
            break
        for name, work in contestants.items():
            once(work, timed[name])
    return {name: each.record() for name, each in timed.items()}


def once(work: Work, timed: Timed) -> None:
    """Run `work` and note how long it took, the device's work included."""
    _synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    _synchronize()
    timed.wall.append(time.perf_counter() - wall)
    timed.cpu.append(time.process_time() - cpu)


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
