"""Independent pieces of work, each in a process of its own, as many at once as there are cores.

Python threads take turns at one interpreter lock, which a step of many small operations hardly lets go;
two threads of one operation spin while they wait for each other, and beside another busy process they wait
long. Forked processes of one thread each do neither, and they share what the parent has loaded. How
many run at once changes no result.

    with Progress("measure", total, "tokens") as bar:
        values = spread(lambda sae, say: measure(sae, x, say), saes, hear=bar.advance)
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any, Self, TypeVar

import torch

from pipeline.parallel.workers import WORKERS, workers

SECONDS = 0.2
"""Between two messages of progress."""

T = TypeVar("T")
R = TypeVar("R")
Say = Callable[[Any], None]
"""Tells the parent something while the work goes on: progress."""


def ignore(message: Any) -> None:
    """Hear nothing."""


def spread(work: Callable[[T, Say], R], items: Iterable[T], hear: Say = ignore, count: int = 0) -> list[R]:
    """`work(item, say)` of every item, in the items' order; what a work says is given to `hear`.

    At most `count` forked processes (0: `workers()`), which end when this one does, in whatever way;
    results and messages are pickled through pipes. Where one runs at once, or torch uses several threads
    for each operation: here, one item after another. The first exception of a work is raised
    here and ends the others; ChildProcessError when one was killed.
    """
    given, most = list(items), count or workers()
    if min(most, len(given)) < 2 or torch.get_num_threads() > 1:
        return [work(item, hear) for item in given]
    results: dict[int, R] = {}
    running: dict[Connection, tuple[int, multiprocessing.Process]] = {}
    lifeline = os.pipe()
    try:
        while len(results) < len(given):
            while len(running) < most and len(results) + len(running) < len(given):
                index = len(results) + len(running)
                pipe, process = _start(work, given[index], lifeline)
                running[pipe] = index, process
            ready = set(wait(list(running)))
            for pipe in [each for each in running if each in ready]:
                kind, value = _receive(pipe, running[pipe][1])
                if kind == "said":
                    hear(value)
                elif kind == "failed":
                    raise value
                else:
                    index, process = running.pop(pipe)
                    results[index] = value
                    process.join()
    finally:
        for _, process in running.values():
            process.kill()
            process.join()
        for end in lifeline:
            os.close(end)
    return [results[index] for index in range(len(given))]


class Count:
    """Says how much is done a few times a second, however often it is told.

    In a work `with Count(say) as count: train(..., on_step=count)`; in the parent `hear=adding(bar.advance)`.
    """

    def __init__(self, say: Say, shown: bool = True) -> None:
        """Figures are passed on if they are to be `shown`: those of one work, where several run at once."""
        self._say, self._shown = say, shown
        self._count, self._figures, self._said = 0, dict[str, float](), time.monotonic()

    def __call__(self, count: int, figures: Mapping[str, float]) -> None:
        """`count` more are done."""
        self._count += count
        self._figures = {name: figures[name] for name in ("loss", "l0") if name in figures}
        if time.monotonic() - self._said >= SECONDS:
            self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell()

    def _tell(self) -> None:
        self._say((self._count, self._figures if self._shown else {}))
        self._count, self._said = 0, time.monotonic()


def adding(advance: Callable[..., None]) -> Say:
    """Hear what `Count` says, and give it to a progress bar's `advance(count, **figures)`."""
    return lambda message: advance(message[0], **message[1])


def at_once(device: torch.device) -> int:
    """`spread`'s argument for work on `device`: a process that uses CUDA must not be forked."""
    return 0 if device.type == "cpu" else 1


def _start(
    work: Callable[[T, Say], R], item: T, lifeline: tuple[int, int]
) -> tuple[Connection, multiprocessing.Process]:
    """A forked process that sends ("said", message), and ("done", result) or ("failed", exception) last."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, item, theirs, lifeline), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads: zarr begins anew in a child, torch has one thread here
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    theirs.close()  # so that the child's end is the only one, and its death is the end of the pipe
    return ours, process  # type: ignore[return-value]


def _child(work: Callable[[T, Say], R], item: T, pipe: Connection, lifeline: tuple[int, int]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.close(lifeline[1])
    threading.Thread(target=_end_with_parent, args=(lifeline[0],), daemon=True).start()
    os.environ[WORKERS] = "1"
    torch.set_num_threads(1)
    try:
        result = work(item, lambda message: _send(pipe, "said", message))
        _send(pipe, "done", result)
    except BaseException as error:
        error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # of a type that pickle cannot take apart or put together
            error = RuntimeError(traceback.format_exc())
        _send(pipe, "failed", error)


def _end_with_parent(lifeline: int) -> None:
    """Nobody writes to the pipe: it closes with the parent."""
    os.read(lifeline, 1)
    os._exit(1)


def _send(pipe: Connection, kind: str, value: Any) -> None:
    # plain pickle: multiprocessing's own would hand tensors over in shared memory, which ends with the child
    pipe.send_bytes(pickle.dumps((kind, value)))


def _receive(pipe: Connection, process: multiprocessing.Process) -> tuple[str, Any]:
    try:
        kind, value = pickle.loads(pipe.recv_bytes())
    except (EOFError, OSError):  # OSError: it was killed in the middle of a message
        process.join()
        raise ChildProcessError(
            f"a worker process ended with exit code {process.exitcode}; a negative one is a signal, and -9 "
            f"often means that memory ran out: set {WORKERS}=1."
        ) from None
    return kind, value
