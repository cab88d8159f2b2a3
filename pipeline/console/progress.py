"""A progress bar at a terminal, one closing line in a log.

`Progress` shows tokens/s (or whatever the unit is), the latest figures (loss, L0, ...) and the
time left. Without a terminal it prints nothing until the end, so that logs stay readable. The same figures
are a live curve where one is asked for (live.py).
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from pipeline.console.live import curve

REFRESH_SECONDS = 0.2
"""How often figures are re-drawn; formatting them each step would cost more than a small step."""


class Progress:
    """Count `unit`s up to `total` under a `title`.

    `with Progress("train atm 42", total=1_000_000, unit="tokens") as bar: bar.advance(1024, loss=0.1)`
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self.figures: dict[str, float] = {}
        self._curve = curve(title, unit)
        self._console = Console(stderr=True)
        self._rich: RichProgress | None = None
        if self._console.is_terminal:
            self._rich = RichProgress(
                TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
                TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(), console=self._console, transient=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        self._start = self._drawn = time.monotonic()
        if self._rich is not None:
            self._rich.start()
            self._task = self._rich.add_task(self.title, total=self.total, rate="", figures="")
        return self

    def advance(self, count: int, **figures: float) -> None:
        """Add `count` units; `figures` are shown beside the bar (loss, l0, ...)."""
        self.done += count
        self.figures.update(figures)
        if self._curve is not None:
            self._curve.add(self.done, self.figures, last=self.done == self.total)
        now = time.monotonic()
        if self._rich is not None and now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            self._rich.update(self._task, completed=self.done, rate=self._rate(), figures=self._figures())

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()
        if kind is None:
            seconds = time.monotonic() - self._start
            print(
                f"{self.title}: {self.done:,} {self.unit} in {seconds:.1f} s "
                f"({self._rate()}) {self._figures()}".rstrip(),
                file=sys.stderr,
            )

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        return f"{self.done / seconds:,.0f} {self.unit}/s"

    def _figures(self) -> str:
        return " ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
