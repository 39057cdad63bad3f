"""From a task to its outcome: a lease, a worker, and an end that leaves nothing running.

The engine knows neither processors nor processes: it hands a task to `Dispatcher.perform` and gets its outcome back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol

import anyio

from mcp_orchestrator.core.tasks import Executor, Need, Outcome, Report, Task, WorkerRef
from mcp_orchestrator.errors import OutOfTime

__all__ = ["Dispatcher", "Granted", "Leasing"]


NOTHING = Need(cpus=0)


class Granted(Protocol):
    """What a lease holds: the number of processors, and which graphics processors."""

    @property
    def cpus(self) -> int:
        """How many processors were granted."""
        ...

    @property
    def gpus(self) -> tuple[int, ...]:
        """The numbers of the graphics processors."""
        ...


class Leasing(Protocol):
    """Whoever grants leases; `mcp_orchestrator.core.resources.Resources` does."""

    def lease(
        self, need: Need, *, priority: int = 0, fair: str = "", label: str = "", keys: Iterable[str] = ()
    ) -> AbstractAsyncContextManager[Granted]:
        """Wait for a turn, hold what was granted, and give it back on every path."""
        ...


class Dispatcher:
    """Runs tasks on an executor, each under a lease."""

    def __init__(self, executor: Executor, resources: Leasing) -> None:
        """Run tasks on ``executor`` with what ``resources`` grant."""
        self.executor, self.resources = executor, resources

    async def perform(
        self,
        task: Task,
        report: Report,
        *,
        need: Need,
        timeout: float | None = None,  # noqa: ASYNC109 - what runs must be ended before the caller goes on
        grace: float = 0.0,
        priority: int = 0,
        fair: str = "",
        workflow: str = "",
        began: Callable[[WorkerRef], None] | None = None,
    ) -> Outcome:
        """Wait for a lease, run the task under it and return how it ended.

        The lease is asked for with ``priority``, for the client ``fair``, under the limits of the task's component and
        of its ``workflow``; ``timeout`` counts the seconds from the moment it is granted. A task that must stop,
        because time is up or the caller was cancelled, meets `KeyboardInterrupt` and has ``grace`` seconds for what it
        does then. Control comes back when all its processes are gone, and the lease is given back after that.
        ``began`` is called when a worker has the task.

        Raises:
            InvalidInput: more is asked for than there is.
            OutOfTime: the task took longer than ``timeout``, or no lease was to be had in time.
            WorkerLost: no worker could be had. One that dies later is an outcome.

        """
        if need == NOTHING and timeout is None:
            return await self._run(task, report, grace, began)
        keys = [f"component:{task.component}", *([f"workflow:{workflow}"] if workflow else [])]
        async with self.resources.lease(need, priority=priority, fair=fair, label=task.name, keys=keys) as lease:
            given = (max(1, lease.cpus), need.memory_mb, tuple(lease.gpus))
            if given != (task.cpus, task.memory_mb, task.gpus):
                task = replace(task, cpus=given[0], memory_mb=given[1], gpus=given[2])
            with anyio.move_on_after(timeout):
                return await self._run(task, report, grace, began)
            raise OutOfTime(f"{task.name} took longer than {timeout:g} seconds and was ended.")

    async def _run(
        self, task: Task, report: Report, grace: float, began: Callable[[WorkerRef], None] | None
    ) -> Outcome:
        ref: WorkerRef | None = None
        try:
            ref = await self.executor.submit(task, report)
            if began is not None:
                began(ref)
            return await self.executor.wait(ref)
        except BaseException:
            if ref is not None:
                with anyio.CancelScope(shield=True):
                    await self.executor.kill(ref, grace)
            raise
