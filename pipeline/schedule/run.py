"""The loop: start what is ready, longest remaining path first; keep what has ended; stop at a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pipeline.console.errors import BadInput
from pipeline.console.scratch import SCRATCH
from pipeline.console.whole import State, Whole
from pipeline.schedule.bookkeeping import Book, Command
from pipeline.schedule.order import Durations, longest_paths, seconds_left

LOGS = SCRATCH / "log"
"""What each stage says on stderr; its last lines are shown when it fails."""

LAST_LINES = 40
LOOK_EVERY_SECONDS = 0.05
PATIENCE_SECONDS = 30.0
"""For a stage that was told to stop."""


@dataclass
class Running:
    """A command, what it prints and since when it runs."""

    command: Command
    output: IO[bytes]
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.started


class Run:
    """All stages of a book, at most `jobs` at a time on `cores` cores."""

    def __init__(self, book: Book, jobs: int, cores: int, shown: Whole) -> None:
        self._book, self._jobs, self._cores, self._shown = book, jobs, cores, shown
        self._durations = Durations.read()
        self._paths = longest_paths(book.needs, self._durations)
        self._left = dict(book.needs)
        self._running: dict[str, Running] = {}

    def run(self) -> None:
        """Until all are done; raises BadInput naming the stage that failed."""
        try:
            with _stoppable() as asked:
                while self._left:
                    self._begin_ready(asked)
                    self._wait(asked)
        finally:
            self._stop()
            self._durations.write()

    def _ready(self) -> list[str]:
        ready = [
            name
            for name, before in self._left.items()
            if name not in self._running and not any(each in self._left for each in before)
        ]
        return sorted(ready, key=lambda name: -self._paths[name])

    def _begin_ready(self, asked: Asked) -> None:
        """Unchanged and restored stages take no place and make others ready."""
        while len(self._running) < self._jobs and (ready := self._ready()):
            asked()
            alone = not self._running and len(ready) == 1
            self._begin(ready[0], self._cores if alone else max(self._cores // self._jobs, 1))

    def _begin(self, name: str, workers: int) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        with ExitStack() as closing:
            output = closing.enter_context(tempfile.TemporaryFile())
            with _log(name).open("wb") as log, self._naming(name):
                state = self._book.begin(name, output, log, workers)
            if isinstance(state, Command):
                self._running[name] = Running(state, output)
                closing.pop_all()
                return
        del self._left[name]
        self._shown.done(name, state, None)

    def _wait(self, asked: Asked) -> None:
        """Until at least one command has ended, others at the repository meanwhile."""
        if not self._running:
            return
        ended: dict[str, int] = {}
        with self._book.away():
            while not ended:
                asked()
                self._shown.tick([*self._running], self._seconds_left)
                time.sleep(LOOK_EVERY_SECONDS)
                codes = {name: each.command.ended() for name, each in self._running.items()}
                ended = {name: code for name, code in codes.items() if code is not None}
        # what has ended well is kept, also beside a failure
        for name, code in sorted(ended.items(), key=lambda end: end[1] != 0):
            self._end(name, code)

    def _end(self, name: str, code: int) -> None:
        running = self._running.pop(name)
        with running.output as output:
            output.seek(0)
            printed = output.read().decode(errors="replace")
        if code:
            running.command.locks.close()
            self._shown.printed(printed)
            raise BadInput(self._failure(name, code))
        with self._naming(name):
            self._book.finish(running.command)
        self._durations.seconds[name] = round(running.seconds, 1)
        del self._left[name]
        self._shown.done(name, State.RAN, running.seconds, printed)

    def _failure(self, name: str, code: int) -> str:
        said = _log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        self._shown.lines(said)
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"stage {name} ended {how}; what it said is above and in {_log(name)}."

    def _seconds_left(self) -> float:
        running = {name: each.seconds for name, each in self._running.items()}
        return seconds_left(self._left, self._durations, running, self._jobs)

    def _stop(self) -> None:
        """End the commands that still run, their processes too."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for each in self._running.values():
                with suppress(ProcessLookupError):
                    os.killpg(each.command.process.pid, number)
            for each in self._running.values():
                with suppress(subprocess.TimeoutExpired):
                    each.command.process.wait(PATIENCE_SECONDS)
        for each in self._running.values():
            each.command.locks.close()
            each.output.close()
        self._running.clear()

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """DVC's own refusal as a sentence that names the stage."""
        from dvc.exceptions import DvcException

        try:
            yield
        except (DvcException, OSError) as error:
            raise BadInput(f"stage {name}: {str(error).rstrip('.')}.") from error


def _log(name: str) -> Path:
    return LOGS / f"{name.replace('/', '-')}.txt"


Asked = Callable[[], None]
"""Raises KeyboardInterrupt if the run was asked to stop."""


@contextmanager
def _stoppable() -> Iterator[Asked]:
    """SIGINT and SIGTERM are heard where nothing is half done: between a command's start and its entry in
    the book an exception would leave a process that nobody knows."""
    signals: list[int] = []

    def ask() -> None:
        if signals:
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: signals.append(number)) for number in numbers]
    try:
        yield ask
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
