"""A command in a fork of the warm server is the command: streams, signals, exit code, today's code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.common import ROOT, alive, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the warm start is for Linux")

STAGE = '''"""probe: does what its argument says, in Python."""
import os, signal, sys, time
from pathlib import Path
from pipeline.console.errors import BadInput

def run(name: str) -> None:
    exec(name)
'''
IS_WARM = "print('torch' in sys.modules)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package of one stage, and the warm server of its folder, started by a first command."""
    folder = tmp_path_factory.mktemp("warm")
    for name in ("__init__.py", "__main__.py", "console"):
        source, target = ROOT / "pipeline" / name, folder / "pipeline" / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, mkdir(target))
    mkdir(folder / "pipeline/stages/probe.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text("")
    assert ask(folder, IS_WARM, SAELINE_WARM="1") == "False\n"
    until(lambda: len(sockets(folder)) == 1)
    yield folder
    shutil.rmtree(folder / ".scratch")
    until(lambda: servers(folder) == [], seconds=10)


def mkdir(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def sockets(folder: Path) -> list[Path]:
    return [path for path in folder.glob(".scratch/warm-*") if path.is_socket() and path.suffix == ""]


def servers(folder: Path) -> list[int]:
    """Process ids of the servers of this folder."""
    script = os.fsencode(folder / "pipeline/console/server.py")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if script in words and f"{os.getpid()}" != process.name and not forked(process):
            found.append(int(process.name))
    return sorted(found)


def forked(process: Path) -> bool:
    """Whether it is a command's process: in a process group of its own but in the server's session."""
    after_name = (process / "stat").read_text().rpartition(")")[2].split()
    return after_name[2] != after_name[3]


def command(folder: Path, code: str, *options: str, **environment: str) -> subprocess.Popen[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SAELINE_", "DVC_", "PYTEST_"))
    }
    return subprocess.Popen(
        [sys.executable, *options, "-m", "pipeline", "probe", code],
        cwd=folder,
        env={**inherited, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(folder: Path, code: str, *options: str, **environment: str) -> str:
    """What the command prints; it must end well."""
    with command(folder, code, *options, **environment) as process:
        out, err = process.communicate("from stdin\n", timeout=120)
    assert (process.returncode, err) == (0, "")
    return out


SEES = (
    "print(sys.argv[1:] == sys.orig_argv[3:], sys.path[0] == os.getcwd(), os.umask(0), sys.stdin.read(), "
    "os.environ['SAELINE_X'], sys.stdout.isatty(), __import__('__main__').__spec__.name, sys.stdout.encoding)"
)


def test_a_fork_sees_what_an_ordinary_process_sees(folder: Path) -> None:
    assert ask(folder, IS_WARM) == "True\n"
    assert ask(folder, SEES, SAELINE_X="é") == ask(folder, SEES, SAELINE_X="é", SAELINE_WARM="0")


def test_the_code_on_disk_is_what_runs(folder: Path) -> None:
    file = folder / "pipeline/stages/probe.py"
    file.write_text(STAGE.replace("exec(name)", "print('new')"))
    assert ask(folder, IS_WARM) == "new\n"
    file.write_text(STAGE)


@pytest.mark.parametrize(
    ("code", "ends", "says"),
    [
        ("raise BadInput('No.')", 2, "error: No.\n"),
        ("sys.exit(7)", 7, ""),
        ("raise ValueError('no')", 1, "ValueError: no\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_it_ends_as_the_command_ends(folder: Path, code: str, ends: int, says: str) -> None:
    with command(folder, code) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == ends
    assert err.endswith(says)
    assert bool(err) == bool(says)


SLEEPS = "print(os.getpid(), flush=True); time.sleep(100)"


def started(folder: Path, code: str) -> tuple[subprocess.Popen[str], Path]:
    """The client, and the /proc folder of the process that runs `code`."""
    process = command(folder, code)
    assert process.stdout is not None
    child = Path("/proc") / process.stdout.readline().strip()
    assert child.name != str(process.pid)
    return process, child


def test_signals_reach_it(folder: Path) -> None:
    process, child = started(
        folder, f"try:\n {SLEEPS}\nexcept KeyboardInterrupt:\n print('stopped'); sys.exit(3)"
    )
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "stopped\n"
    assert process.returncode == 3
    process, child = started(folder, SLEEPS)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert not alive(int(child.name))


def test_it_dies_with_its_client_and_what_it_started_too(folder: Path) -> None:
    process, child = started(folder, f"import subprocess; subprocess.Popen(['sleep', '100']); {SLEEPS}")
    (grandchild,) = (child / f"task/{child.name}/children").read_text().split()
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not alive(int(child.name)) and not alive(int(grandchild)), seconds=10)


@pytest.mark.parametrize(
    "environment", [{"SAELINE_WARM": "0"}, {"OMP_NUM_THREADS": "3"}, {"WORLD_SIZE": "1"}], ids=str
)
def test_another_environment_runs_the_ordinary_way(folder: Path, environment: dict[str, str]) -> None:
    assert ask(folder, IS_WARM, **environment) == "False\n"
    assert len(sockets(folder)) == 1


def test_python_with_options_runs_the_ordinary_way(folder: Path) -> None:
    assert ask(folder, IS_WARM, "-O") == "False\n"


def test_a_dead_socket_is_no_harm_and_is_replaced(folder: Path) -> None:
    """Several commands at once start one server."""
    until(lambda: ask(folder, IS_WARM) == "True\n")  # a busy machine may have ended it: nobody asked
    (server,), (place,) = servers(folder), sockets(folder)
    os.kill(server, signal.SIGKILL)
    until(lambda: not alive(server))
    before = place.stat().st_ino
    clients = [command(folder, IS_WARM, DVC_STAGE="probe") for _ in range(3)]
    assert [each.communicate(timeout=60)[0] for each in clients] == ["False\n"] * 3
    until(lambda: place.stat().st_ino != before)
    until(lambda: len(servers(folder)) == 1)
    assert ask(folder, IS_WARM) == "True\n"


def test_a_command_by_hand_starts_no_server(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder / "pipeline", tmp_path / "pipeline")
    (tmp_path / "dvc.yaml").write_text("")
    assert ask(tmp_path, IS_WARM) == "False\n"
    assert not (tmp_path / ".scratch").exists()
