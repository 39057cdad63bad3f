"""An executor whose worker processes are in other processes, on other machines: what Dask and Ray have in common.

The cluster only carries messages (see `Line`). Which place gets a task is decided here: one that has the processors
free, rather one that worked for the same run, whose artifacts it then has. Runs on asyncio, as Dask and Ray do.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from uuid import uuid4

from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.output import log_of
from mcp_orchestrator.core.tasks import Abilities, Capacity, Killed, Outcome, Report, Task, Usage, WorkerRef
from mcp_orchestrator.elsewhere.line import Line
from mcp_orchestrator.elsewhere.place import PACKAGE, PATIENCE
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName, WorkerLost
from mcp_orchestrator.settings import Settings

__all__ = ["Away"]

GREET_EVERY = PATIENCE / 6
log = logging.getLogger(__name__)


@dataclass
class _There:
    """A place as it is seen from here."""

    address: str
    pid: int
    cpus: int
    memory_mb: int
    used: int = 0
    runs: set[str] = field(default_factory=set[str])


@dataclass
class _Going:
    """A task under way."""

    carrier: asyncio.Task[None]
    end: asyncio.Future[Outcome]


class Away:
    """Runs tasks on the places of a cluster."""

    def __init__(
        self,
        settings: Settings,
        line: Callable[[Settings, str, str], Line],
        changed: Callable[[Capacity], None] = lambda _: None,
        *,
        preload: bool = True,
    ) -> None:
        """Take the way to the cluster, made of the settings and of what tells hosts and their lives apart.

        ``changed`` is called, in the event loop, with what there is to grant, at first and when workers come or go.
        Without ``preload``, workers import the ML libraries when they need them.
        """
        self._settings, self._changed, self._preload = settings, changed, preload
        self._home = hashlib.sha256(f"{socket.gethostname()}:{settings.home}".encode()).hexdigest()[:16]
        self._token = uuid4().hex
        self._line = line(settings, self._home, self._token)
        self.name = self._line.name
        self.abilities = Abilities(kills=True, limits_memory=True, elsewhere=True)
        self._places: dict[str, _There] = {}
        self._going: dict[str, _Going] = {}
        self._problems: dict[str, str] = {}
        self._starting = asyncio.Lock()
        self._greeting: asyncio.Task[None] | None = None
        self._hello = ""
        self._told: Capacity | None = None

    async def start(self) -> None:
        """Connect, and open a place in each worker of the cluster.

        Raises:
            MissingLibrary: the library of the cluster is not installed.
            NotReady: the cluster does not answer, or no worker of it can work for this host.

        """
        async with self._starting:
            if self._greeting is not None:
                return
            self._hello = await asyncio.to_thread(self._said)
            await self._line.open()
            try:
                await self._greet()
            finally:
                if not self._places:
                    await self._line.close()
            if not self._places:
                reasons = " ".join(sorted(set(self._problems.values()))) or "It has no workers; start some."
                raise NotReady(f"The {self.name} cluster has no worker that can run steps. {reasons}")
            self._greeting = asyncio.create_task(self._keep_greeting())

    async def capacity(self) -> Capacity:
        """Return the processors and the memory of all places together."""
        return self._all()

    async def submit(self, task: Task, report: Report) -> WorkerRef:
        """Send a task to a place; where none is left, wait for one.

        Raises:
            WorkerLost: none came.
            InvalidInput: the task asks for more memory than any of them has.

        """
        await self.start()
        there = await self._choose(task)
        key = f"{task.run or 'call'}/{task.step or task.name}/{task.attempt}/{uuid4().hex[:12]}"
        end: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._going[key] = _Going(asyncio.create_task(self._carry(there, key, task, report, end)), end)
        return WorkerRef(executor=self.name, place=key, pid=there.pid, host=there.address)

    async def wait(self, ref: WorkerRef) -> Outcome:
        """Return how a task ended.

        Raises:
            UnknownName: nothing was submitted under that reference, or its outcome was taken already.

        """
        going = self._going.get(ref.place)
        if going is None:
            raise UnknownName("task", ref.place, self._going)
        outcome = await asyncio.shield(going.end)
        self._going.pop(ref.place, None)
        return outcome

    async def kill(self, ref: WorkerRef, grace: float = 0.0) -> Killed:
        """End a task with all that descends from it.

        Where the place cannot be reached, this returns when its patience is over, and it has ended the task by itself.
        """
        going, began = self._going.get(ref.place), time.monotonic()
        self._going.pop(ref.place, None)
        if going is None or going.end.done():
            return Killed(running=False)
        answer: dict[str, Any] = {}
        with suppress(WorkerLost, TimeoutError):
            async with asyncio.timeout(grace + PATIENCE * 1.1):
                answer = await self._line.kill(ref.host, ref.place, grace)
        await asyncio.wait([going.carrier], timeout=1)  # the answer of the place is on its way
        going.carrier.cancel()
        await asyncio.wait([going.carrier])
        return Killed(running=True, processes=answer.get("processes", 0), seconds=time.monotonic() - began)

    async def adopt(self, ref: WorkerRef) -> bool:  # noqa: ARG002 - the greeting ended it, whichever it was
        """Return False: a place ends what an earlier life of its host left, when this one greets it."""
        await self.start()
        return False

    async def close(self) -> None:
        """Close all places, and the cluster if it was started here."""
        if self._greeting is None:
            return
        greeting, self._greeting = self._greeting, None
        tasks = [greeting, *(one.carrier for one in self._going.values())]
        for one in tasks:
            one.cancel()
        await asyncio.wait(tasks)
        self._going.clear()
        self._places.clear()
        await self._line.close()

    def _said(self) -> str:
        """Return what a place must know; without a shared store, it reads our own folder."""
        shared = self._settings.artifacts or self._settings.home.as_uri()
        settings = self._settings.model_copy(update={"artifacts": shared})
        probe = ArtifactStore.of(self._settings).put(b"mcp-orchestrator", name="probe").sha256
        said: dict[str, Any] = {
            "home": self._home,
            "token": self._token,
            "version": version(PACKAGE),
            "settings": settings.model_dump(mode="json"),
            "probe": probe,
            "preload": self._preload,
        }
        if not self._settings.executor_address:
            said |= {"folder": str(self._settings.home), "path": sys.path}
        return json.dumps(said)

    async def _greet(self) -> None:
        answers = await self._line.greet(self._hello)
        for address, answer in answers.items():
            problem = answer.get("problem")
            if problem:
                if self._problems.get(address) != problem:
                    log.warning("a worker of the cluster cannot be used", extra={"address": address, "why": problem})
                self._problems[address] = problem
            elif address not in self._places:
                self._places[address] = _There(address, answer["pid"], answer["cpus"], answer["memory_mb"])
        for address in [one for one in self._places if "cpus" not in answers.get(one, {})]:
            del self._places[address]
        self._say()

    def _say(self) -> None:
        """Say what there is to grant, if that changed; when no worker is left, what is wanted waits for the next."""
        found = self._all()
        if self._places and found != self._told:
            self._told = found
            self._changed(found)

    def _all(self) -> Capacity:
        places = list(self._places.values())
        return Capacity(
            cpus=sum(one.cpus for one in places),
            memory_mb=sum(one.memory_mb for one in places),
            widest=max((one.cpus for one in places), default=0),
        )

    async def _keep_greeting(self) -> None:
        while True:
            await asyncio.sleep(GREET_EVERY)
            try:
                await self._greet()
            except (OSError, NotReady) as error:
                log.warning("the cluster does not answer", extra={"why": str(error)})

    async def _choose(self, task: Task) -> _There:
        """Return the place for a task; the one with the most free processors among those that are as good."""
        until = time.monotonic() + PATIENCE
        while not self._places:
            if time.monotonic() > until:
                raise WorkerLost(f"The {self.name} cluster has had no worker for {PATIENCE:g} seconds.")
            await asyncio.sleep(0.2)
            await self._greet()
        large = [one for one in self._places.values() if one.memory_mb >= task.memory_mb]
        if not large:
            most = max(one.memory_mb for one in self._places.values())
            raise InvalidInput("memory_mb", f"{task.name} asks for {task.memory_mb} MB; no worker has over {most} MB.")

        def rank(one: _There) -> tuple[bool, bool, int]:
            free = one.cpus - one.used
            return free >= min(max(task.cpus, 1), one.cpus), bool(task.run) and task.run in one.runs, free

        return max(large, key=rank)

    async def _carry(self, there: _There, key: str, task: Task, report: Report, end: asyncio.Future[Outcome]) -> None:
        """Bring a task to its place and its outcome back; whoever waits gets one, whatever happens."""
        cpus = min(max(task.cpus, 1), there.cpus)
        there.used += cpus
        there.runs.add(task.run)
        outcome = Outcome(code="worker_lost", error=f"{task.name} was ended.")
        try:
            answer = await self._line.perform(there.address, key, json.dumps(task.plain()), report)
            if answer["log"]:
                await asyncio.to_thread(self._note, task.run, answer["log"])
            given: dict[str, Any] = answer["outcome"]
            outcome = Outcome(**{**given, "usage": Usage(**given["usage"])})  # pyright: ignore[reportArgumentType]
        except WorkerLost as error:
            self._places.pop(there.address, None)
            self._say()
            outcome = Outcome(code=error.code, error=str(error))
        except Exception as error:
            log.exception("a task could not be carried to the cluster", extra={"task": key})
            outcome = Outcome(code="step_failed", error=f"{type(error).__name__}: {error}")
        finally:
            there.used -= cpus
            end.set_result(outcome)

    def _note(self, run: str, text: str) -> None:
        """Add what a step printed elsewhere to the log of its run."""
        place = log_of(self._settings.home, run)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with place.open("a", encoding="utf-8") as file:
            file.write(text)
