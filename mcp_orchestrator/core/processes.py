"""Worker processes from the outside: the one that forks them, and talking to one.

Everything here happens in the event loop that made it: the loop calls when a process has something to say, so that
nobody needs to wait for it to be heard.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from mcp_orchestrator.core.environment import QUIET
from mcp_orchestrator.core.kill import MARK, birth, identity, mark
from mcp_orchestrator.errors import WorkerLost
from mcp_orchestrator.settings import Settings

__all__ = ["WorkerProcess", "Zygote", "can_fork", "last_words", "launch"]

PIECE = 1 << 16
LONGEST = 400
Heard = Callable[["WorkerProcess", dict[str, Any] | None], None]


class WorkerProcess:
    """A worker process and its connection.

    ``ready`` says that it was born with all libraries loaded; one that was not is not worth keeping. ``run`` is the
    run whose data it has at hand, ``base`` the megabytes that it held when its task began.
    """

    def __init__(self, pid: int, connection: socket.socket, heard: Heard, *, ready: bool = True) -> None:
        """Call ``heard`` with each message, and with None once when the process has ended."""
        self.pid, self.born, self.ready = pid, birth(pid), ready
        self.run, self.base = "", 0.0
        self.ended = False
        self._heard, self._parts = heard, list[bytes]()
        self._connection = connection
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, self._read)
        self._handle = _handle(pid)
        if self._handle is not None:  # a child that it left holds the connection open, so that no end of it comes
            self._loop.add_reader(self._handle, self._over)

    @property
    def lives(self) -> bool:
        """Whether it still waits for tasks, as the system knows at this moment."""
        if not self.ended:
            try:
                if self._connection.recv(1, socket.MSG_PEEK) == b"":
                    self.close()
            except BlockingIOError:
                pass
            except OSError:
                self.close()
        return not self.ended

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message whole; to a process that has ended, nothing is sent."""
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data and not self.ended:
            try:
                data = data[self._connection.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError:
                self._over()

    def close(self) -> None:
        """Hear no more of it; an idle worker whose connection closes ends by itself."""
        if not self.ended:
            self.ended = True
            self._loop.remove_reader(self._connection)
            self._connection.close()
            if self._handle is not None:
                self._loop.remove_reader(self._handle)
                os.close(self._handle)

    def _read(self) -> None:
        try:
            data = self._connection.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._over()
            return
        self._parts.append(data)
        if b"\n" in data:
            *lines, rest = b"".join(self._parts).split(b"\n")
            self._parts = [rest] if rest else []
            for line in lines:
                self._heard(self, json.loads(line))

    def _over(self) -> None:
        """Hear what it said last, and then that it has ended."""
        while not self.ended:
            try:
                data = self._connection.recv(PIECE)
            except OSError:
                data = b""
            if not data:
                break
            self._parts.append(data)
        if not self.ended:
            *lines, _ = b"".join(self._parts).split(b"\n")
            self.close()
            for line in lines:
                self._heard(self, json.loads(line))
            self._heard(self, None)


class Zygote:
    """The process that forks workers, seen from here; see `mcp_orchestrator.core.zygote`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        ready: Callable[[], None],
        said: Callable[[], str] = lambda: "",
    ) -> None:
        """Take the started process and our side of its control socket; call ``ready`` when it has loaded everything.

        ``said`` returns what it said last, for the error when it ends.
        """
        self._process, self._control, self._when_ready, self._said = process, control, ready, said
        control.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control, self._read)
        self._asked: deque[asyncio.Future[dict[str, Any] | None]] = deque()
        self._rest = b""
        self.ready = self.ended = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def fork(self, heard: Heard) -> WorkerProcess:
        """Return a new worker, which tells what it has to say to ``heard``.

        Raises:
            WorkerLost: the zygote ended, or the system gave it no process.

        """
        ours, theirs = socket.socketpair()
        answer: asyncio.Future[dict[str, Any] | None] = self._loop.create_future()
        try:
            with theirs:
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
            self._asked.append(answer)
            told = await answer
        except OSError:
            self._close()
            told = None
        except BaseException:
            ours.close()  # the worker ends when it is born
            raise
        if told is None:
            ours.close()
            code = await to_thread.run_sync(self._process.wait)
            why = f"exit code {code}: {said}" if (said := self._said()) else f"exit code {code}"
            raise WorkerLost(f"The process that starts workers ended ({why}); it is started again on the next try.")
        if not told["pid"]:
            ours.close()
            raise WorkerLost(f"No worker could be started ({told['failed']}). Free memory or processes and try again.")
        return WorkerProcess(told["pid"], ours, heard, ready=told["ready"])

    async def close(self) -> None:
        """End it, and with it all its workers."""
        self._close()
        await to_thread.run_sync(self._process.wait)

    def _read(self) -> None:
        data = b""
        with suppress(OSError):
            data = self._control.recv(PIECE)
        if not data:
            self._close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            told: dict[str, Any] = json.loads(line)
            if "pid" in told:
                answer = self._asked.popleft()
                if not answer.done():
                    answer.set_result(told)
            if told["ready"] and not self.ready:
                self.ready = True
                self._when_ready()

    def _close(self) -> None:
        if not self.ended:
            self.ended = True
            self._loop.remove_reader(self._control)
            self._control.close()
            for answer in self._asked:
                if not answer.done():
                    answer.set_result(None)
            self._asked.clear()


def launch(module: str, theirs: socket.socket, settings: Settings, preload: str) -> subprocess.Popen[bytes]:
    """Start a module of ours that serves on a socket, in a session of its own, with the mark of this process.

    What it says goes to ``logs/workers.log`` of the state home.
    """
    place = _log(settings.home)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = os.pathsep.join(one for one in sys.path if one)
    name = f"mcp_orchestrator.core.{module}"
    with place.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", name, str(theirs.fileno()), settings.model_dump_json(), preload],
            env={**os.environ, **QUIET, "PYTHONPATH": path, MARK: mark(identity(settings.home))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            cwd=settings.project if settings.project.is_dir() else None,
        )


def last_words(home: Path) -> Callable[[], str]:
    """Return what tells the last line that processes of a state home have said from now on, without its end if long."""
    place = _log(home)
    since = place.stat().st_size if place.exists() else 0

    def said() -> str:
        try:
            with place.open("rb") as log:
                log.seek(max(since, log.seek(0, os.SEEK_END) - PIECE))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:LONGEST] for line in reversed(lines) if line.strip()), "")

    return said


def can_fork() -> bool:
    """Whether this machine forks safely from a process that has imported, and not run, the ML libraries."""
    return sys.platform == "linux"


def _log(home: Path) -> Path:
    return home / "logs" / "workers.log"


def _handle(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends, where the system has such."""
    if sys.platform == "linux":
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None
