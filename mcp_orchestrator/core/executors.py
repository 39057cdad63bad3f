"""Where a capability runs: in worker processes that can be killed, or, without that protection, in this process.

An executor promises: `execute` returns the answer as plain JSON values or raises the capability's own error; when the
caller is cancelled, it returns only after the work has stopped (workers) or was abandoned (in process); the death of
a worker is `WorkerLost`, never silence.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import anyio
from anyio import to_thread

from mcp_orchestrator.core.environment import QUIET, prepare
from mcp_orchestrator.core.processes import WorkerProcess, Zygote, can_fork, end, lives
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Processors
from mcp_orchestrator.core.worker import perform
from mcp_orchestrator.errors import OutOfTime, WorkerLost, revive
from mcp_orchestrator.settings import Settings

__all__ = ["Executor", "InProcess", "Task", "Workers"]

Report = Callable[[float | None, str], None]
KEEP_WARM = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One call of one capability."""

    component: str
    capability: str
    params: dict[str, Any]
    seed: int = 0
    cpus: int = 1
    run: str = ""
    step: str = ""


class Executor(Protocol):
    """Runs tasks; see the module's promises."""

    async def execute(self, task: Task, report: Report, *, timeout: float | None = None) -> Any:  # noqa: ANN401, ASYNC109 - it kills
        """Run a task and return its answer as plain JSON values."""
        ...

    async def warm(self) -> None:
        """Start whatever takes time to start."""
        ...

    async def close(self) -> None:
        """End all processes."""
        ...


class InProcess:
    """Runs tasks in threads of this process: for scripts, notebooks and tests. A thread cannot be killed."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        """Prepare the environment of this process for computing."""
        prepare()
        self._settings, self._registry = settings, registry

    async def execute(self, task: Task, report: Report, *, timeout: float | None = None) -> Any:  # noqa: ANN401, ASYNC109
        """Run a task in a thread; cancelling abandons it."""

        def send(message: dict[str, Any]) -> None:
            report(message["fraction"], message["message"])

        answer: dict[str, Any] | None = None
        with anyio.move_on_after(timeout):
            answer = await to_thread.run_sync(
                lambda: perform(self._registry, self._settings, asdict(task), send),
                abandon_on_cancel=True,
            )
        return _value(task, answer, timeout)

    async def warm(self) -> None:
        """Do nothing: this process imports what it needs when it needs it."""

    async def close(self) -> None:
        """Do nothing: there are no processes."""


class Workers:
    """Runs tasks in warm worker processes, each the leader of a process group that is killed whole."""

    def __init__(self, settings: Settings, *, preload: bool = True) -> None:
        """Take the number of processors and the state home from the settings; nothing is started yet.

        Without ``preload``, workers import the ML libraries when they need them.
        """
        self._preload = "preload" if preload else "bare"
        self.processors = Processors(settings.workers)
        self._settings = settings
        self._payload = settings.model_dump_json()
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._zygote: Zygote | None = None
        self._starting = anyio.Lock()

    async def execute(self, task: Task, report: Report, *, timeout: float | None = None) -> Any:  # noqa: ANN401, ASYNC109
        """Run a task in a worker; a cancelled caller gets control back when the whole process group is gone."""
        async with self.processors.lease(task.cpus) as granted:
            worker = await self._take(task.run)
            answer: dict[str, Any] | None = None
            try:
                with anyio.move_on_after(timeout) as scope:
                    answer = await self._converse(worker, {**asdict(task), "cpus": granted}, report)
            finally:
                self._busy.discard(worker)
                if answer is None or not self._worth_keeping(worker):
                    with anyio.CancelScope(shield=True):
                        await end(worker)
                else:
                    self._keep(worker)
            return _value(task, answer, timeout if scope.cancelled_caught else None)

    async def warm(self) -> None:
        """Start the zygote, if this machine can use one."""
        if can_fork():
            async with self._starting:
                self._nursery()

    async def close(self) -> None:
        """End all workers and the zygote."""
        with anyio.CancelScope(shield=True):
            for worker in [*self._idle, *self._busy]:
                await end(worker)
            self._idle.clear()
            if self._zygote is not None:
                zygote, self._zygote = self._zygote, None
                await zygote.close()

    @property
    def processes(self) -> list[int]:
        """The process ids of the living workers."""
        return [one.pid for one in [*self._busy, *self._idle]]

    async def _converse(self, worker: WorkerProcess, task: dict[str, Any], report: Report) -> dict[str, Any]:
        await worker.send(task)
        while True:
            message = await worker.receive()
            if message is None:
                log = self._settings.home / "logs" / f"{task['run'] or 'calls'}.log"
                text = f"The worker of {task['component']}.{task['capability']} ended before it answered"
                raise WorkerLost(f"{text} (killed, out of memory, or crashed); its log is {log}.")
            if "message" not in message:
                return message
            report(message["fraction"], message["message"])

    async def _take(self, run: str) -> WorkerProcess:
        """Return an idle worker, one that knows the run if there is one, or a new one."""
        for worker in sorted(self._idle, key=lambda one: one.run != run):
            self._idle.remove(worker)
            if lives(worker):
                break
            worker.connection.close()
        else:
            async with self._starting:
                worker = await self._nursery().fork() if can_fork() else self._spawn()
        worker.run = run
        self._busy.add(worker)
        return worker

    def _keep(self, worker: WorkerProcess) -> None:
        self._idle.insert(0, worker)
        for spare in self._idle[max(KEEP_WARM, self.processors.total) :]:
            self._idle.remove(spare)
            spare.connection.close()  # a worker whose connection closes ends by itself

    def _worth_keeping(self, worker: WorkerProcess) -> bool:
        """Whether a new worker would not be better: one born before the zygote was ready imports for itself."""
        return worker.ready or self._zygote is None or not self._zygote.ready

    def _nursery(self) -> Zygote:
        if self._zygote is None or self._zygote.ended:
            ours, theirs = socket.socketpair()
            with theirs:
                self._zygote = Zygote(self._start("zygote", theirs), ours)
        return self._zygote

    def _spawn(self) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._start("worker", theirs)
        ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return WorkerProcess(process.pid, ours)

    def _start(self, module: str, theirs: socket.socket) -> subprocess.Popen[bytes]:
        folder = self._settings.home / "logs"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [
            sys.executable,
            "-m",
            f"mcp_orchestrator.core.{module}",
            str(theirs.fileno()),
            self._payload,
            self._preload,
        ]
        path = os.pathsep.join(one for one in sys.path if one)
        with (folder / "workers.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own module
                command,
                env={**os.environ, **QUIET, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=self._settings.project if Path(self._settings.project).is_dir() else None,
            )


def _value(task: Task, answer: dict[str, Any] | None, timeout: float | None) -> Any:  # noqa: ANN401
    if answer is None:
        message = f"{task.component}.{task.capability} took longer than {timeout:g} seconds and was ended."
        raise OutOfTime(message)
    if "error" in answer:
        raise revive(answer["code"], answer["error"])
    return answer["value"]
