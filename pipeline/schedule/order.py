"""Which stage first, and how long it will take. No result depends on it."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.console.scratch import SCRATCH

DURATIONS = SCRATCH / "durations.json"

TYPICAL = {
    "model": 5.0, "train": 20.0, "ground_truth": 14.0, "reconstruction": 10.0, "behavior": 12.0,
    "probing": 9.0, "absorption": 9.0, "slow_states": 7.0, "stability": 4.0, "harvest": 24.0,
    "letter_task": 15.0, "probing_task": 6.0, "latents": 3.0, "corpus": 4.0, "compare": 18.0, "page": 5.0,
    "saebench": 2.0, "claims": 2.0,
}  # fmt: skip
"""Seconds by stage, for a stage that was never timed here."""

UNKNOWN = 5.0


@dataclass
class Durations:
    """Seconds that each stage took when it last ran here, kept in `.scratch`."""

    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, repository: Path = Path()) -> Durations:
        """What earlier runs in `repository` kept; nothing where there is no file, or no good one."""
        with suppress(OSError, ValueError, AttributeError):
            kept = json.loads((repository / DURATIONS).read_text(encoding="utf-8")).items()
            return cls({name: float(value) for name, value in kept})
        return cls()

    def write(self) -> None:
        """Keep them for the next run."""
        DURATIONS.parent.mkdir(exist_ok=True)
        DURATIONS.write_text(json.dumps(self.seconds, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def of(self, name: str) -> float:
        """Seconds of the stage, or of a stage of its kind."""
        return self.seconds.get(name, TYPICAL.get(name.partition("@")[0], UNKNOWN))


def longest_paths(needs: Mapping[str, Collection[str]], durations: Durations) -> dict[str, float]:
    """Seconds from the start of each stage to the end of the last stage that waits for it.

    `needs` names, for every stage, the stages that must be done before it; each before it, or left out.
    """
    paths = {name: durations.of(name) for name in needs}
    for name in reversed([*needs]):
        for before in paths.keys() & needs[name]:
            paths[before] = max(paths[before], durations.of(before) + paths[name])
    return paths


def seconds_left(
    needs: Mapping[str, Collection[str]], durations: Durations, running: Mapping[str, float], jobs: int
) -> float:
    """Until all of `needs` are done, `jobs` at a time, longest path first; `running` for so long already.

    `needs` holds what is not done, the running ones too.
    """
    paths = longest_paths(needs, durations)
    ends = [(max(durations.of(name) - gone, 0.0), name) for name, gone in running.items()]
    heapq.heapify(ends)
    waiting = {name: needs.keys() & before for name, before in needs.items() if name not in running}
    now = 0.0
    while ends or waiting:
        ready = [name for name, before in waiting.items() if not before]
        for name in sorted(ready, key=lambda name: -paths[name])[: max(jobs - len(ends), 0)]:
            heapq.heappush(ends, (now + durations.of(name), name))
            del waiting[name]
        now, done = heapq.heappop(ends)
        for others in waiting.values():
            others.discard(done)
    return now
