"""Command `reproduce`: `dvc repro` with several stages at a time; dvc.lock and outputs are the same."""

from __future__ import annotations

import os
from contextlib import suppress

from pipeline.console import warm
from pipeline.console.whole import Whole
from pipeline.parallel.workers import cores
from pipeline.schedule.bookkeeping import opened
from pipeline.schedule.run import Run


def run(targets: list[str], jobs: int | None) -> None:
    """Bring `targets`, by default all, up to date; raises BadInput naming the stage that failed."""
    if os.environ.get(warm.VARIABLE) != "0":
        with suppress(OSError):
            warm.start(warm.address())
    with opened(targets) as book, Whole(len(book.stages)) as shown:
        Run(book, jobs or cores(), cores(), shown).run()
