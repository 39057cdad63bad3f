"""Where a capability runs on this machine: in worker processes that can be killed, or, without that, in this process.

`Workers` is what runs are for. `InProcess` suits scripts, notebooks and tests; `Inline` suits trusted capabilities
that take less time than a thread's start, since the event loop stands still meanwhile.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import partial
from itertools import count

from anyio import from_thread, to_thread

from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.tasks import Abilities, Capacity, Executor, Killed, Outcome, Report, Task, Usage, WorkerRef
from mcp_orchestrator.core.worker import perform
from mcp_orchestrator.core.workers import Workers
from mcp_orchestrator.errors import Cancelled, UnknownName
from mcp_orchestrator.settings import Settings

__all__ = ["Executor", "InProcess", "Inline", "Task", "Workers"]


class Inline:
    """Runs tasks in the event loop, when they are waited for."""

    name = "inline"
    abilities = Abilities(kills=False, limits_memory=False, elsewhere=False)

    def __init__(self, settings: Settings, registry: Registry) -> None:
        """Prepare the environment of this process for computing."""
        prepare()
        self._settings, self._registry = settings, registry
        self._store = ArtifactStore.of(settings)
        self._serial = count(1)
        self._tasks: dict[str, tuple[Task, Report]] = {}

    async def start(self) -> None:
        """Do nothing: this process imports what it needs when it needs it."""

    async def capacity(self) -> Capacity:
        """Return the processors of the settings; memory is not counted."""
        return Capacity(cpus=self._settings.workers)

    async def submit(self, task: Task, report: Report) -> WorkerRef:
        """Take a task."""
        place = str(next(self._serial))
        self._tasks[place] = (task, report)
        return WorkerRef(executor=self.name, place=place, pid=os.getpid())

    async def wait(self, ref: WorkerRef) -> Outcome:
        """Run a task and return how it ended.

        Raises:
            UnknownName: nothing was submitted under that reference, or it ran already.

        """
        return self._run(*self._taken(ref))

    async def kill(self, ref: WorkerRef, grace: float = 0.0) -> Killed:  # noqa: ARG002 - a loop that stands still gives none
        """Forget a task that was not waited for."""
        return Killed(running=self._tasks.pop(ref.place, None) is not None)

    async def adopt(self, ref: WorkerRef) -> bool:  # noqa: ARG002 - whatever it was, it ended with its process
        """Return False: a task ends with its process."""
        return False

    async def close(self) -> None:
        """Forget what was not waited for."""
        self._tasks.clear()

    def _taken(self, ref: WorkerRef) -> tuple[Task, Report]:
        try:
            return self._tasks.pop(ref.place)
        except KeyError:
            raise UnknownName("task", ref.place, self._tasks) from None

    def _run(self, task: Task, report: Report) -> Outcome:
        began = time.thread_time()
        outcome = perform(self._registry, self._settings, self._store, task, report)
        usage = Usage(cpu_seconds=time.thread_time() - began)
        return Outcome(value=outcome.value, code=outcome.code, error=outcome.error, usage=usage)


class InProcess(Inline):
    """Runs tasks in threads of this process. A thread cannot be killed: one that is given up is abandoned."""

    name = "threads"

    async def wait(self, ref: WorkerRef) -> Outcome:
        """Run a task in a thread and return how it ended; cancelling abandons it where it next tells its progress."""
        task, report = self._taken(ref)
        given_up = False

        def tell(fraction: float | None, message: str) -> None:
            if given_up:
                raise Cancelled(f"{task.name} was stopped.")
            with suppress(RuntimeError):  # the loop is gone; so is whoever listened
                from_thread.run_sync(report, fraction, message)

        try:
            return await to_thread.run_sync(partial(self._run, task, tell), abandon_on_cancel=True)
        finally:
            given_up = True
