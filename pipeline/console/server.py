"""The process that warm.py's commands are forked from: `python server.py SOCKET`, in the repository's root.

A script that imports nothing of this package. One thread: it waits for commands, forks a process for each,
tells the client that one's wait status, passes signals on, and kills a process whose client is gone. It stops
when nothing has been asked for 20 s, or when its socket is not there any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIBRARIES = (
    "numpy", "torch", "safetensors.torch", "zarr", "zarr.codecs", "numcodecs", "google_crc32c", "pydantic",
    "ruamel.yaml", "typer", "typer.rich_utils", "rich.console", "rich.table", "rich.progress", "rich.live",
    "tokenizers", "transformers", "transformers.models.gemma2.modeling_gemma2",
    "transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto", "pandas",
    "jinja2", "huggingface_hub",
)  # fmt: skip
"""What costs time to import and is the same for every command; one that is not installed is left out."""

IDLE_SECONDS = 20.0
PATIENCE_SECONDS = 5.0
"""For a client to say what it wants."""

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that a client may ask for."""

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Request:
    """One command: everything that an ordinary process would have from its parent."""

    argv: list[str]
    cwd: str
    environment: dict[str, str]
    umask: int
    streams: tuple[int, ...] = ()


@dataclass
class Server:
    """The socket, and the process of each client."""

    place: Path
    listener: socket.socket
    waker: socket.socket
    selector: selectors.BaseSelector
    running: dict[int, socket.socket] = field(default_factory=dict)
    asked: float = field(default_factory=time.monotonic)

    def serve(self) -> Request | None:
        """Until it is to stop: None. In a forked process: what that one is to run."""
        identity = os.stat(self.place).st_ino
        while self.running or (
            _inode(self.place) == identity and time.monotonic() - self.asked < IDLE_SECONDS
        ):
            for key, _ in self.selector.select(1.0):
                if key.fileobj is self.listener:
                    if (request := self._accept()) is not None:
                        return request
                elif key.fileobj is self.waker:
                    self.waker.recv(64)
                else:
                    self._listen(key.data)
            self._collect()
        return None

    def _accept(self) -> Request | None:
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE_SECONDS)
        try:
            request = _request(connection)
        except (OSError, ValueError, TypeError):
            connection.close()
            return None
        # until the child has become the command, a signal would end it as if it were this server
        before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        child = os.fork()
        if child == 0:
            self._forget()
            connection.close()
            return request
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        for stream in request.streams:
            os.close(stream)
        connection.setblocking(False)
        self.running[child] = connection
        self.selector.register(connection, selectors.EVENT_READ, child)
        with contextlib.suppress(OSError):
            connection.send(b"+")
        return None

    def _listen(self, child: int) -> None:
        """Pass signals on to the whole group, as a terminal would; kill it when the client is gone."""
        try:
            numbers = self.running[child].recv(64)
        except OSError:
            numbers = b""
        if not numbers:
            self.selector.unregister(self.running[child])
        with contextlib.suppress(ProcessLookupError):
            for number in numbers or [signal.SIGKILL]:
                os.killpg(child, number)

    def _collect(self) -> None:
        while self.running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            connection = self.running.pop(child)
            with contextlib.suppress(KeyError):
                self.selector.unregister(connection)
            with contextlib.suppress(OSError):
                connection.send(struct.pack("!i", status))
            connection.close()
            self.asked = time.monotonic()

    def _forget(self) -> None:
        """Close, in a fork, what is the server's."""
        for connection in self.running.values():
            connection.close()
        self.listener.close()
        self.selector.close()


def _inode(place: Path) -> int | None:
    try:
        return os.stat(place).st_ino
    except OSError:
        return None


def _request(connection: socket.socket) -> Request:
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user != os.getuid():
        raise PermissionError(user)
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    (left,) = struct.unpack("!Q", head) if len(head) == 8 else (0,)
    message = b""
    while len(message) < left and (part := connection.recv(left - len(message))):
        message += part
    what: dict[str, Any] = json.loads(message)
    if len(streams) != 3:
        raise ValueError(streams)
    return Request(**what, streams=tuple(streams))


def become(request: Request) -> None:
    """Be in this fork what an ordinary process of the command is."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    for place, stream in enumerate(request.streams):
        os.dup2(stream, place)
        os.close(stream)
    os.umask(request.umask)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.cwd)
    sys.argv = request.argv
    sys.orig_argv = [sys.executable, "-m", "pipeline", *request.argv[1:]]
    if not sys.flags.safe_path:
        sys.path.insert(0, request.cwd)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    gc.enable()


def main() -> None:
    """Import, listen, fork."""
    place = Path(sys.argv[1])
    if not sys.flags.safe_path:
        del sys.path[0]  # this folder; the repository's root takes its place in a fork
    os.closerange(3, 1024)
    lock = os.open(f"{place}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    gc.disable()
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    gc.collect()
    gc.freeze()
    request = _serve(place, os.fstat(lock).st_ino)
    os.close(lock)
    if request is not None:
        become(request)
        runpy.run_module("pipeline", run_name="__main__", alter_sys=True)


def _serve(place: Path, lock: int) -> Request | None:
    waker, woken = socket.socketpair()
    for end in (waker, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.umask(0o077)
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    server = os.getpid()
    own = {place.with_name(f"{place.name}.lock"): lock}  # files of this server by inode: another may follow
    try:
        with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
            listener.bind(str(draft))
            listener.listen(64)
            os.rename(draft, place)
            own[place] = os.stat(place).st_ino
            selector.register(listener, selectors.EVENT_READ)
            selector.register(waker, selectors.EVENT_READ)
            return Server(place, listener, waker, selector).serve()
    finally:
        signal.set_wakeup_fd(-1)
        waker.close()
        woken.close()
        if os.getpid() == server:
            draft.unlink(missing_ok=True)
            for left, inode in own.items():
                if _inode(left) == inode:
                    left.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
