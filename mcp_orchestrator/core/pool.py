"""The worker processes at hand: where they come from, and which are kept.

On Linux a zygote forks them with the libraries loaded; elsewhere they are started one by one. Those that are idle stay
warm, and one that knows a run is given to the next task of that run.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from contextlib import suppress

from anyio import to_thread

from mcp_orchestrator.core.kill import end
from mcp_orchestrator.core.processes import Heard, WorkerProcess, Zygote, can_fork, last_words, launch
from mcp_orchestrator.errors import WorkerLost
from mcp_orchestrator.settings import Settings

__all__ = ["Pool"]

KEEP_WARM = 3


class Pool:
    """Workers of one state home, all of which tell what they have to say to one listener."""

    def __init__(self, settings: Settings, heard: Heard, *, preload: bool, tracking: bool = True) -> None:
        """Start nothing yet; without ``preload``, workers import the ML libraries when they need them."""
        self._settings, self._heard = settings, heard
        self._preload = ("preload" if tracking else "untracked") if preload else "bare"
        self._idle: list[WorkerProcess] = []
        self._started: dict[int, subprocess.Popen[bytes]] = {}
        self._zygote: Zygote | None = None
        self._former: list[Zygote] = []
        self._sparing: asyncio.Task[None] | None = None

    @property
    def idle(self) -> list[int]:
        """The process ids of the workers that wait for a task."""
        return [one.pid for one in self._idle]

    @property
    def zygote(self) -> int:
        """The process id of the zygote, 0 while there is none."""
        return self._zygote.pid if self._zygote is not None and not self._zygote.ended else 0

    def start(self) -> None:
        """Start the zygote, which forks a first worker once it has loaded everything; elsewhere, that worker."""
        if can_fork():
            self._nursery()
        elif not self._started:
            self._idle.append(self._start_worker())

    async def take(self, run: str) -> WorkerProcess:
        """Return an idle worker, one that knows the run if there is one, or a new one.

        Raises:
            WorkerLost: none could be started.

        """
        for worker in sorted(self._idle, key=lambda one: one.run != run):
            self._idle.remove(worker)
            if worker.lives:
                break
            self.forget(worker)
        else:
            worker = await self._new()
        worker.run = run
        return worker

    def keep(self, worker: WorkerProcess) -> None:
        """Keep a worker for later, unless there are enough, or a new one would be better."""
        if not worker.ready and self._zygote is not None and self._zygote.ready:
            worker.close()  # born before the libraries were loaded, it imports for itself; closed, it ends by itself
            return
        self._idle.insert(0, worker)
        for spare in self._idle[max(KEEP_WARM, self._settings.workers) :]:
            self._idle.remove(spare)
            spare.close()

    def forget(self, worker: WorkerProcess) -> None:
        """Give up a worker that has ended."""
        if worker in self._idle:
            self._idle.remove(worker)
        if (process := self._started.get(worker.pid)) is not None and process.poll() is not None:
            del self._started[worker.pid]

    async def close(self) -> None:
        """End the idle workers, and the zygote with all that it forked."""
        if self._sparing is not None:
            self._sparing.cancel()
        for worker in self._idle:
            worker.close()
            await to_thread.run_sync(end, worker.pid, worker.born)
        self._idle.clear()
        while self._started:
            await to_thread.run_sync(self._started.popitem()[1].wait)  # its connection is closed, or it was killed
        if self._zygote is not None:
            self._former.append(self._zygote)
            self._zygote = None
        while self._former:
            await self._former.pop().close()

    async def _new(self) -> WorkerProcess:
        if not can_fork():
            return self._start_worker()
        known = self._zygote
        zygote = self._nursery()
        try:
            return await zygote.fork(self._heard)
        except WorkerLost:
            if zygote is not known:  # one that ends as soon as it is started will not do better now
                raise
            return await self._nursery().fork(self._heard)

    def _nursery(self) -> Zygote:
        if self._zygote is None or self._zygote.ended:
            if self._zygote is not None:
                self._former.append(self._zygote)
            ours, theirs = socket.socketpair()
            said = last_words(self._settings.home)
            with theirs:
                process = launch("zygote", theirs, self._settings, self._preload)
            self._zygote = Zygote(process, ours, self._grown, said)
        return self._zygote

    def _grown(self) -> None:
        """Have a worker at hand now that the zygote has loaded everything, so that the first task waits for no fork."""
        if self._preload != "bare":
            self._sparing = asyncio.get_running_loop().create_task(self._spare())

    async def _spare(self) -> None:
        with suppress(WorkerLost):
            self.keep(await self._nursery().fork(self._heard))

    def _start_worker(self) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            process = launch("worker", theirs, self._settings, self._preload)
        self._started[process.pid] = process
        return WorkerProcess(process.pid, ours, self._heard)
