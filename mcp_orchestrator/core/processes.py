"""Worker processes from the outside: talking to one, and ending one with all that descends from it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import anyio
import psutil
from anyio import to_thread

from mcp_orchestrator.errors import WorkerLost

__all__ = ["WorkerProcess", "Zygote", "can_fork", "end", "lives"]


@dataclass(eq=False)
class WorkerProcess:
    """A worker process, its connection and the run whose data it has at hand.

    ``ready`` says that it was born with all libraries loaded; one that was not is not worth keeping.
    """

    pid: int
    connection: socket.socket
    run: str = ""
    ready: bool = True
    _rest: bytes = field(default=b"", repr=False)

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message whole."""
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            try:
                data = data[self.connection.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self.connection)

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message, or None when the worker is gone."""
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            await anyio.wait_readable(self.connection)
            try:
                part = self.connection.recv(1 << 20)
            except BlockingIOError:
                continue
            except ConnectionError:
                part = b""
            if not part:
                return None
            parts.append(part)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return json.loads(line)


class Zygote:
    """The process that forks workers, seen from here; see `mcp_orchestrator.core.zygote`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        """Take the started process and our side of its control socket."""
        self._process, self._control = process, control
        self._answers = control.makefile("rb")
        self._ready = False

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    @property
    def ready(self) -> bool:
        """Whether it has loaded all libraries, so that what it forks from now on needs to import none."""
        if not self._ready and select.select([self._control], [], [], 0)[0]:
            self._take(self._answers.readline())
        return self._ready

    async def fork(self) -> WorkerProcess:
        """Return a new worker.

        Raises:
            WorkerLost: the zygote ended.

        """
        ours, theirs = socket.socketpair()
        told: dict[str, Any] = {}
        with theirs:
            try:
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
                while "pid" not in told:
                    told = self._take(await to_thread.run_sync(self._answers.readline))
            except (OSError, ValueError) as error:
                ours.close()
                await self.close()
                code = self._process.returncode
                message = (
                    f"The process that starts workers ended (exit code {code}); it is started again on the next try."
                )
                raise WorkerLost(message) from error
        ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return WorkerProcess(told["pid"], ours, ready=told["ready"])

    async def close(self) -> None:
        """End it, and with it all its workers."""
        self._answers.close()
        self._control.close()
        await to_thread.run_sync(self._process.wait)

    def _take(self, line: bytes) -> dict[str, Any]:
        """Read an answer; an empty one means that the process is gone, and is no JSON."""
        told: dict[str, Any] = json.loads(line)
        self._ready = told["ready"]
        return told


def can_fork() -> bool:
    """Whether this machine forks safely from a process that has imported, and not run, the ML libraries."""
    return sys.platform == "linux"


def lives(worker: WorkerProcess) -> bool:
    """Whether an idle worker still waits for tasks."""
    try:
        return worker.connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


async def end(worker: WorkerProcess) -> None:
    """Kill the worker's whole process group and what descends from it, and return when all of it is gone."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        leader = psutil.Process(worker.pid)
        family = [leader, *leader.children(recursive=True)]
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    worker.connection.close()
    with anyio.move_on_after(5):
        while any(_works(one) for one in family):  # noqa: ASYNC110 - the kernel tells only the parent
            await anyio.sleep(0.005)


def _works(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
