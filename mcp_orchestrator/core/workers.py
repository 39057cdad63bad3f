"""Worker processes on this machine, each of which can be killed with all that descends from it.

How many work at once, the leases decide. What a step leaves running when it answers is ended with its worker, before
its outcome is known: a lease that is given back is free.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from mcp_orchestrator.core.kill import birth, end, identity, mark, sweep
from mcp_orchestrator.core.machine import capacity
from mcp_orchestrator.core.output import log_of
from mcp_orchestrator.core.pool import Pool
from mcp_orchestrator.core.processes import WorkerProcess
from mcp_orchestrator.core.tasks import Abilities, Capacity, Killed, Outcome, Report, Task, Usage, WorkerRef
from mcp_orchestrator.core.watchdog import EVERY, memory, share
from mcp_orchestrator.errors import UnknownName, WorkerLost
from mcp_orchestrator.settings import Settings

__all__ = ["Workers"]

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Job:
    """A task in a worker's hands.

    ``asked`` says that it was asked to stop, so that its worker is of no more use, ``unclean`` that processes of it may
    be left, ``ending`` that these are being killed, ``gone`` that they were.
    """

    task: Task
    report: Report
    worker: WorkerProcess
    mark: str
    outcome: Outcome | None = None
    asked: bool = False
    unclean: bool = False
    ending: bool = False
    done: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)

    def finish(self, outcome: Outcome) -> None:
        """Take the outcome; the first one counts."""
        if self.outcome is None:
            self.outcome = outcome
        self.done.set()


class Workers:
    """Runs tasks in warm worker processes, each the leader of a process group."""

    name = "local"
    abilities = Abilities(kills=True, limits_memory=True, elsewhere=False)

    def __init__(self, settings: Settings, *, preload: bool = True, tracking: bool = True) -> None:
        """Take the state home and the limits from the settings; nothing is started yet.

        Without ``preload``, workers import the ML libraries when they need them; without ``tracking``, nothing of
        MLflow is made ready.
        """
        self._settings = settings
        self._pool = Pool(settings, self._heard, preload=preload, tracking=tracking)
        self._place = ""
        self._serial = count(1)
        self._jobs: dict[str, _Job] = {}
        self._busy: dict[WorkerProcess, _Job] = {}
        self._beginning = anyio.Lock()
        self._threads = anyio.CapacityLimiter(8)

    @property
    def processes(self) -> list[int]:
        """The process ids of the living workers."""
        return [*(one.pid for one in self._busy), *self._pool.idle]

    @property
    def zygote(self) -> int:
        """The process id of the process that forks workers, 0 while there is none."""
        return self._pool.zygote

    async def start(self) -> None:
        """Start the process that forks workers, which then has one at hand; elsewhere, a worker."""
        self._pool.start()

    async def capacity(self) -> Capacity:
        """Return what there is to lease on this machine, by the settings or else as measured."""
        return await self._apart(capacity, self._settings)

    async def submit(self, task: Task, report: Report) -> WorkerRef:
        """Hand a task to an idle worker, or to a new one; the first time, leftovers of dead processes end before."""
        if not self._place:
            await self._begin()
        worker = await self._pool.take(task.run)
        place = str(next(self._serial))
        sign = mark(self._place, place, f"{task.run}/{task.step}/{task.attempt}")
        job = self._jobs[place] = self._busy[worker] = _Job(task, report, worker, sign)
        ref = WorkerRef(executor=self.name, place=place, pid=worker.pid, started=float(worker.born))
        try:
            if self._limit(task):
                worker.base = await self._apart(share, worker.pid)
            await worker.send({"mark": sign, "task": task.plain()})
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.kill(ref)
            raise
        if worker.ended:
            job.finish(self._lost(task))
        return ref

    async def wait(self, ref: WorkerRef) -> Outcome:
        """Return how a task ended, when nothing that it started runs any more.

        Raises:
            UnknownName: nothing was submitted under that reference, or its outcome was taken already.

        """
        job = self._jobs.get(ref.place)
        if job is None:
            raise UnknownName("task", ref.place, self._jobs)
        if limit := self._limit(job.task):
            await self._watch(job, limit)
        else:
            await job.done.wait()
        if job.unclean or job.ending:
            await self._end(job)
        self._jobs.pop(ref.place, None)
        return job.outcome or self._lost(job.task)

    async def kill(self, ref: WorkerRef, grace: float = 0.0) -> Killed:
        """End a task: a `KeyboardInterrupt` in it, ``grace`` seconds for what it does then, and the end of its tree."""
        job = self._jobs.pop(ref.place, None)
        if job is None:
            return Killed(running=False)
        began, running = time.monotonic(), job.outcome is None
        if running and grace > 0:
            job.asked = True
            with suppress(ProcessLookupError):
                os.kill(job.worker.pid, signal.SIGINT)
            with anyio.move_on_after(grace):
                await job.done.wait()
        processes = await self._end(job) if running or job.unclean or job.ending else 0
        job.finish(Outcome(code="cancelled", error=f"{job.task.name} was stopped."))
        return Killed(running=running, processes=processes, seconds=time.monotonic() - began)

    async def adopt(self, ref: WorkerRef) -> bool:
        """Return False, after ending what is left of the task: workers do not outlive the process that had them."""
        if ref.executor == self.name and ref.pid and ref.started and birth(ref.pid) == ref.started:
            await self._apart(end, ref.pid, int(ref.started))
        return False

    async def close(self) -> None:
        """End all workers and the zygote; who waits for a task learns that it was stopped."""
        with anyio.CancelScope(shield=True):
            for place, job in list(self._jobs.items()):
                await self.kill(WorkerRef(executor=self.name, place=place, pid=job.worker.pid))
            await self._pool.close()

    async def _begin(self) -> None:
        """Before anything runs, end what a dead process of this state home left running: it may be the same step."""
        async with self._beginning:
            if not self._place:
                home = self._settings.home
                home.mkdir(parents=True, exist_ok=True, mode=0o700)
                await self._apart(sweep, home)
                self._place = identity(home)

    # What workers say ------------------------------------------------------------------------------------------------

    def _heard(self, worker: WorkerProcess, message: dict[str, Any] | None) -> None:
        job = self._busy.get(worker)
        if message is None:
            self._busy.pop(worker, None)
            self._pool.forget(worker)
            if job is not None and not job.ending:  # otherwise there is more to end, and whoever ends it says so
                job.unclean = True
                job.finish(self._lost(job.task))
        elif job is None:
            return
        elif "fraction" in message:
            job.report(message["fraction"], message["message"])
        else:
            job.unclean = message["left"] or job.asked or bool(job.task.gpus)  # idle, it would hold the device's memory
            if not job.unclean and not job.ending:
                del self._busy[worker]
                self._pool.keep(worker)
            usage = Usage(cpu_seconds=message["cpu"], memory_mb=message["memory"])
            job.finish(Outcome(value=message["value"], code=message["code"], error=message["error"], usage=usage))

    async def _watch(self, job: _Job, limit: int) -> None:
        """Wait for the end of a task, and bring it about when the task takes more memory than it may."""
        worker = job.worker
        while not job.done.is_set():
            with anyio.move_on_after(EVERY):
                await job.done.wait()
                return
            taken = await self._apart(memory, worker.pid, limit + worker.base) - worker.base
            if taken > limit and not job.ending and job.outcome is None:
                await self._end(job)
                text = (
                    f"The step took {taken:.0f} MB of memory, more than the {limit} MB that it may use; it was ended."
                )
                job.finish(Outcome(code="step_failed", error=text, usage=Usage(memory_mb=taken)))

    def _limit(self, task: Task) -> int:
        return task.memory_mb or self._settings.worker_memory_mb

    def _lost(self, task: Task) -> Outcome:
        text = f"The worker of {task.name} ended before it answered (killed, out of memory, or crashed); its log is"
        return Outcome(code=WorkerLost.code, error=f"{text} {log_of(self._settings.home, task.run)}.")

    async def _end(self, job: _Job) -> int:
        """End all that runs of a task, or wait until whoever is at it has done so; return how many processes."""
        ended = 0
        with anyio.CancelScope(shield=True):
            if job.ending:
                await job.gone.wait()
                return ended
            job.ending = True
            try:
                ended = await self._apart(end, job.worker.pid, job.worker.born, job.mark)
            finally:
                self._busy.pop(job.worker, None)
                job.worker.close()
                self._pool.forget(job.worker)
                job.gone.set()
        return ended

    async def _apart(self, work: Callable[..., T], *args: object) -> T:
        return await to_thread.run_sync(partial(work, *args), limiter=self._threads)
