"""How far a run of many stages is: a moving line at a terminal, one line per finished stage in a log."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

ESTIMATE_EVERY_SECONDS = 2.0


class State(Enum):
    """How a stage came to be up to date."""

    UNCHANGED = "unchanged"
    RESTORED = "restored"
    """Its outputs came from the run-cache, or DVC itself has done what there was to do."""
    RAN = "ran"


class Whole:
    """`with Whole(89) as shown: shown.done("train@atm-42", State.RAN, 14.2)`; all of it on stderr."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._ended: Counter[State] = Counter()
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._estimated = self._left = 0.0
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._live.stop()
        counts = ", ".join(f"{self._ended[how]} {how.value}" for how in State if self._ended[how])
        if kind is None and set(self._ended) <= {State.UNCHANGED}:
            self._say("Data and pipelines are up to date.")
        elif self._ended:
            self._say(f"{counts} of {self._total} stages in {_clock(time.monotonic() - self._start)}.")

    def done(self, stage: str, how: State, seconds: float | None, printed: str = "") -> None:
        """A stage is done: `how` counts it; one that took `seconds` has a line, and what it printed."""
        self._ended[how] += 1
        if how is State.UNCHANGED:
            return
        took = how.value if seconds is None else f"{seconds:.1f} s"
        self._say(f"{self._where()} {stage}: {took}{self._rest()}")
        self.printed(printed)

    def printed(self, text: str) -> None:
        """What a stage printed on stdout."""
        if text:
            print(text, end="", flush=True)

    def tick(self, running: list[str], left: Callable[[], float]) -> None:
        """What runs now; `left` estimates the seconds to the end."""
        now = time.monotonic()
        if now - self._estimated < ESTIMATE_EVERY_SECONDS:
            return
        self._estimated, self._left = now, left()
        if self._console.is_terminal:
            self._live.update(Text(f"{self._where()} {', '.join(running)}{self._rest()}"), refresh=True)

    def lines(self, lines: Iterable[str]) -> None:
        """What a failed stage said."""
        for line in lines:
            self._say(line)

    def _where(self) -> str:
        return f"[{self._ended.total()}/{self._total}]"

    def _rest(self) -> str:
        gone = _clock(time.monotonic() - self._start)
        return f"   {gone}, about {_clock(self._left)} left" if self._left else f"   {gone}"

    def _say(self, line: str) -> None:
        if self._console.is_terminal:
            self._console.print(Text(line))
        else:
            print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
