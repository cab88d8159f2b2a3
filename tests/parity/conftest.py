"""The parity set: collected only where SAEBENCH_PYTHON names a python that has SAEBench (`make parity`)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.common import ROOT
from tests.parity.ledger import Ledger
from tests.parity.page import write_page
from tests.parity.world import World, build

PYTHON = os.environ.get("SAEBENCH_PYTHON")
collect_ignore_glob = [] if PYTHON else ["test_*.py"]

EVALUATIONS = ("core", "absorption", "probing")
LEDGER = Ledger()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--page FILE`: where the result is written when everything passed."""
    parser.addoption("--page", type=Path, default=None)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page of a run in which nothing failed."""
    page = session.config.getoption("--page", None)
    if page is not None and exitstatus == 0:
        write_page(page, LEDGER)


class Oracle:
    """SAEBench's three evaluations, started together in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = {name: start(name, folder) for name in EVALUATIONS}

    def finished(self, evaluation: str) -> Path:
        """The folder with what `evaluation` wrote."""
        wait(self._running[evaluation], self.folder / f"{evaluation}.log")
        return self.folder / "oracle" / evaluation

    def stop(self) -> None:
        """End what still runs, after a failure."""
        for process in self._running.values():
            process.kill()
            process.wait()


def start(command: str, folder: Path) -> subprocess.Popen[bytes]:
    """`python -m tests.parity.oracle COMMAND FOLDER` in SAEBench's environment, its caches in `folder`."""
    assert PYTHON is not None
    kept = {name: os.environ[name] for name in ("PATH", "OMP_WAIT_POLICY") if name in os.environ}
    own = {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "MPLCONFIGDIR": str(folder / "mpl"),
           "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}  # fmt: skip
    with (folder / f"{command}.log").open("wb") as log:
        return subprocess.Popen(
            [str(ROOT / PYTHON), "-m", "tests.parity.oracle", command, str(folder)],
            cwd=folder, env=kept | own, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def wait(process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it ended; its last words when it failed."""
    if process.wait() != 0:
        text = log.read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"SAEBench failed:\n{text[-3000:]}")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def oracle(world: World) -> Iterator[Oracle]:
    running = Oracle(world.folder)
    yield running
    running.stop()


@pytest.fixture
def ledger() -> Ledger:
    return LEDGER


@pytest.fixture(scope="session")
def ask(world: World) -> Callable[[str], None]:
    """Run one more command of the oracle and wait for it."""

    def run(command: str) -> None:
        wait(start(command, world.folder), world.folder / f"{command}.log")

    return run
