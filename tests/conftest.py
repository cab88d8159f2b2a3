"""What every test shares: seeded property tests, no network, torch's threads left as they were found."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from typing import Any

import pytest
from hypothesis import settings

# read when transformers and datasets are imported, and inherited by subprocesses
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SAELINE_WARM"] = "0"  # a test starts no server, except those of the warm start

# tests against other people's code need their code, in an environment of its own (`make parity`)
collect_ignore_glob = [] if os.environ.get("SAEBENCH_PYTHON") else ["parity/test_*.py"]
# tests of object storage need a server to run on this machine (`make remote`)
collect_ignore = [] if importlib.util.find_spec("moto") else ["remote"]

# started in the background of a shell, a session ignores SIGINT, and all that it starts inherits that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("seeded", derandomize=True, deadline=None, database=None)
settings.load_profile("seeded")


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = str(arguments[1][0])
    if not (host.startswith("127.") or host in ("::1", "localhost")):
        raise RuntimeError(f"a test tried to reach {host}: tests run without a network")


sys.addaudithook(_refuse_network)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a GPU are deselected where torch finds none."""
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu and not importlib.import_module("torch").cuda.is_available():
        config.hook.pytest_deselected(items=gpu)
        items[:] = [item for item in items if item not in gpu]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Stages set torch's threads; the next test starts from one again, whatever ran before."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
