"""Work in forked processes: the same results as in turn, and nothing left behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.parallel.processes import Say, spread
from pipeline.parallel.workers import WORKERS, workers
from tests.common import ROOT, alive, until


def draw(seed: int, say: Say) -> tuple[int, torch.Tensor]:
    """The process and a product of random matrices, the rows of the second in another layout."""
    g = torch.Generator().manual_seed(seed)
    for part in range(3):
        say((seed, part))
    return os.getpid(), (torch.randn(64, 32, generator=g) @ torch.randn(32, 64, generator=g)).T


@pytest.mark.parametrize("at_once", [2, 3, 9])
def test_processes_give_the_bits_of_one(at_once: int) -> None:
    said: dict[int, list[tuple[int, int]]] = {1: [], at_once: []}
    alone, apart = (spread(draw, range(5), said[count].append, count) for count in (1, at_once))
    assert {pid for pid, _ in alone} == {os.getpid()}
    assert len({pid for pid, _ in apart} | {os.getpid()}) == 6
    for (_, a), (_, b) in zip(alone, apart, strict=True):
        assert torch.equal(a, b)
        assert a.stride() == b.stride()
    assert sorted(said[at_once]) == said[1]


def test_the_environment_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKERS, raising=False)
    assert workers() >= 1
    monkeypatch.setenv(WORKERS, "2")
    # a worker has no workers of its own
    assert spread(lambda item, say: (item, workers()), [3, 4]) == [(3, 1), (4, 1)]
    assert spread(lambda item, say: workers(), [3]) == [2]
    for wrong in ("0", "two", "-1", ""):
        monkeypatch.setenv(WORKERS, wrong)
        with pytest.raises(BadInput, match="must be a whole number of processes"):
            workers()


def test_several_threads_of_an_operation_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert {pid for pid, _ in spread(draw, range(2), count=2)} == {os.getpid()}


class Odd(Exception):
    """An exception that pickle cannot make again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def failing(item: int, say: Say) -> None:
    if item == 1:
        raise BadInput("one is too many.")
    if item == 2:
        raise Odd("o", "dd")
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


@pytest.mark.parametrize(
    ("item", "error", "words"),
    [(1, BadInput, r"^one is too many\."), (2, RuntimeError, "odd"), (3, ChildProcessError, "exit code -9")],
)
def test_a_failure_is_raised_here_and_ends_the_others(item: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        spread(failing, [0, item], count=2)


SLEEPERS = """\
import os, time
from pipeline.parallel.processes import spread

def work(item, say):
    say(os.getpid())
    time.sleep(600)

spread(work, [1, 2], lambda pid: print(pid, flush=True), 2)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(ending: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SLEEPERS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(ending)
        assert parent.wait() != 0
    until(lambda: not any(alive(child) for child in children))
