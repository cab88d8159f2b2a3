"""A command in a fork of a process that has torch and its kin imported: 0.05 s to start instead of 1.3 s.

`python -m pipeline STAGE` hands its arguments, folder, environment and terminal to a server (server.py),
which forks a process for it and tells its exit code. The server has imported libraries only, never this
package: the code that runs is the code on disk. It belongs to one user, repository, Python, set of libraries
and environment, starts when DVC runs a stage and ends 20 s after the last one.

`SAELINE_WARM=0` never does this, `SAELINE_WARM=1` also starts a server for a command by hand. A command runs
the ordinary way under a debugger, a coverage tool or torchrun, on another system than Linux, with options of
Python's own, and whenever something about the server is not right.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from pipeline.console.scratch import SCRATCH

VARIABLE = "SAELINE_WARM"
SERVER = Path(__file__).with_name("server.py")
COLD = ("check", "graph", "reproduce", "study")
"""Commands that need none of the libraries."""

OF_A_STAGE = ("DVC_", "SAELINE_", "LIVE")
OF_A_SHELL = ("PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES")
"""Variables that may differ between commands of one server; libraries read the others when imported."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def ran() -> bool:
    """Whether the command ran in a fork; False: nothing was done. Exits as the command where that failed."""
    if not wanted():
        return False
    place = address()
    try:
        connection = _connected(place)
    except OSError:
        if VARIABLE in os.environ or "DVC_STAGE" in os.environ:
            with suppress(OSError):
                start(place)
        return False
    with connection:
        try:
            _ask(connection)
        except OSError:
            return False
        status = _follow(connection)
    if os.WIFSIGNALED(status):
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(code)
    return True


def wanted() -> bool:
    """Whether this process is `python -m pipeline COMMAND` and nothing else."""
    return (
        sys.platform == "linux"
        and os.environ.get(VARIABLE) != "0"
        and sys.orig_argv[1:3] == ["-m", "pipeline"]
        and len(sys.argv) > 1
        and not sys.argv[1].startswith("-")
        and sys.argv[1] not in COLD
        and not {"WORLD_SIZE", "SAELINE_TORCHRUN", "COVERAGE_PROCESS_START"} & {*os.environ}
        and "torch" not in sys.modules
        and sys.gettrace() is None
        and Path("dvc.yaml").exists()
    )


def address() -> Path:
    """The socket of the server for this user, Python, libraries and environment, below the current folder."""
    import hashlib

    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OF_A_STAGE) and name not in OF_A_SHELL
    }
    packages = [(place, os.stat(place).st_mtime_ns) for place in sys.path if place.endswith("-packages")]
    limits = Path("/proc/self/limits").read_text() + Path("/proc/self/cgroup").read_text()
    bounds = [*os.sched_getaffinity(0), os.nice(0), os.getuid()]
    state = json.dumps([sys.executable, sys.version, sorted(environment.items()), packages, limits, bounds])
    files = (SERVER, *sorted(Path("requirements").glob("*.txt")))
    key = hashlib.sha256(state.encode() + b"".join(file.read_bytes() for file in files))
    return SCRATCH / f"warm-{key.hexdigest()[:16]}"


def start(place: Path) -> None:
    """Start the server of `place`, unless one is there or starting; does not wait for it."""
    import fcntl

    SCRATCH.mkdir(exist_ok=True)
    lock = os.open(f"{place}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    command = [sys.executable, str(SERVER), str(place)]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=quiet, setsid=True)


def _connected(place: Path) -> socket.socket:
    if os.stat(place).st_uid != os.getuid():
        raise PermissionError(place)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(place))
    except OSError:
        connection.close()
        raise
    return connection


def _ask(connection: socket.socket) -> None:
    """Hand everything over; returns when a process has begun with it, raises OSError when none will."""
    mask = os.umask(0o077)
    os.umask(mask)
    what = {"argv": sys.argv, "cwd": os.getcwd(), "environment": dict(os.environ), "umask": mask}
    message = json.dumps(what).encode()
    socket.send_fds(connection, [struct.pack("!Q", len(message))], [0, 1, 2])
    connection.sendall(message)
    if connection.recv(1) != b"+":
        raise ConnectionError("the server has not begun")


def _follow(connection: socket.socket) -> int:
    """Forward signals until the process ends; its wait status."""

    def forward(number: int, _: FrameType | None) -> None:
        with suppress(OSError):
            connection.sendall(bytes([number]))

    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    status = connection.recv(4)
    if len(status) != 4:
        print(
            f"error: the process of this command was lost; run it again with {VARIABLE}=0.", file=sys.stderr
        )
        raise SystemExit(1)
    return int(struct.unpack("!i", status)[0])
