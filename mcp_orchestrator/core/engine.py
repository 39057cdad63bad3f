"""Runs: submitted, worked on, watched, cancelled, taken over after a crash.

A workflow is an async function over a `Run`; a run is its rows in the journal. The engine works on as many runs at
once as it may, by priority and in fair shares; a run whose process died is taken over by the next engine that starts,
and goes on after its last finished step. What has ended is final: to try it again makes another run of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from mcp_orchestrator.core.conduct import Conduct, Work
from mcp_orchestrator.core.control import Control
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal, runs
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import Event, RunRow, Status
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.core.workflow import Call, Workflow
from mcp_orchestrator.errors import NotReady, UnknownName
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Call", "Companion", "Engine", "Watcher", "Workflow"]

PATIENCE = 1.0
OF_RUNS = frozenset({runs.claim, runs.end, runs.release, runs.move, runs.progress, runs.wish})
Companion = Callable[["Engine"], Coroutine[Any, Any, None]]
Watcher = Callable[[RunRow], Awaitable[None]]
log = logging.getLogger(__name__)


class Engine(Control):
    """Works on runs, at most so many at once."""

    def __init__(
        self,
        journal: Journal,
        dispatcher: Dispatcher,
        workflows: Iterable[Workflow],
        *,
        most: int = 10,
        version_of: Callable[[str], str] = lambda _component: "",
        companions: Iterable[Companion] = (),
    ) -> None:
        """Take the parts; nothing runs before the engine is entered, and workflows are looked at only when needed.

        ``companions`` are at work while the engine is, and takes over what others left: the schedules, say.
        """
        self.journal, self.dispatcher = journal, dispatcher
        self.places = Resources(Capacity(cpus=0), slots={"runs": most})
        self.version_of = version_of
        self._workflows, self._companions = workflows, companions
        self._group: TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._works: dict[str, Work] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._heard: list[asyncio.Event] = []

    @cached_property
    def workflows(self) -> dict[str, Workflow]:
        """The workflows by name."""
        return {one.name: one for one in self._workflows}

    @asynccontextmanager
    async def running(self, *, recover: bool = True) -> AsyncGenerator[Self]:
        """Work until the block ends; runs that are then unfinished wait for the next engine.

        With ``recover``, take over the runs whose owner died.
        """
        self.journal.owners.enter()
        self._loop = asyncio.get_running_loop()
        self.journal.writer.listeners.append(self._committed)
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                if recover:
                    await self.recover()
                    for companion in self._companions:
                        group.start_soon(companion, self)
                try:
                    yield self
                finally:
                    self._group = None
                    for work in self._works.values():
                        work.leave()
                    group.cancel_scope.cancel("the engine stops")
        except ExceptionGroup as errors:  # the group wraps what the block raised
            first, *others = errors.exceptions
            if others:
                raise
            raise first from first.__cause__
        finally:
            self.journal.writer.listeners.remove(self._committed)
            self.journal.writer.close()
            self.journal.owners.leave()

    # Asking for work -------------------------------------------------------------------------------------------------

    async def submit(
        self,
        workflow: str,
        spec: Mapping[str, Any],
        *,
        key: str | None = None,
        priority: int = 0,
        fair: str = "",
        deadline: int | None = None,
        parent: str | None = None,
        created_by: str = "",
        subject: str | None = None,
        approved: str | None = None,
    ) -> str:
        """Check a specification, write the run down and start to work on it; return the run's id.

        The same ``key`` returns the run that was submitted with it before, whatever became of it. Runs of a higher
        ``priority`` go first, those of the same ``fair`` name share one part; at ``deadline`` (microseconds since the
        epoch) the run is ended. ``subject`` is whose token it is asked with, ``approved`` who approved it.

        Raises:
            UnknownName: there is no such workflow.
            InvalidInput: the specification is not acceptable; nothing was written.

        """
        checked = plain(self.workflow(workflow).checked(spec))
        about = {"key": key, "priority": priority, "fair": fair, "deadline": deadline, "parent": parent}
        about |= {"created_by": created_by, "subject": subject, "approved": approved}
        row = await self.journal.submit(workflow, checked, **about)
        if row.status is Status.QUEUED:
            self._start(row)
        return row.id

    def workflow(self, name: str) -> Workflow:
        """Return a workflow by its name.

        Raises:
            UnknownName: there is no such workflow.

        """
        if name not in self.workflows:
            raise UnknownName("workflow", name, self.workflows)
        return self.workflows[name]

    # Watching --------------------------------------------------------------------------------------------------------

    async def wait(self, run: str, seconds: float | None = None, watcher: Watcher | None = None) -> RunRow:
        """Wait until a run has ended, is paused or waits for a person, or ``seconds`` have passed.

        ``watcher`` is called whenever the run changes.
        """
        last: RunRow | None = None
        run = self.journal.run(run).id
        with anyio.move_on_after(seconds):
            while True:
                changed = self._changed.setdefault(run, asyncio.Event())
                row = self.seen(self.journal.run(run))
                if watcher is not None and row != last:
                    await watcher(row)
                last = row
                if row.status.final or (not row.status.working and run not in self._works):
                    return row
                with anyio.move_on_after(PATIENCE):  # another process may own the run
                    await changed.wait()
        return self.seen(self.journal.run(run))

    def seen(self, row: RunRow) -> RunRow:
        """Return a run as it is to be shown: one whose owner died is not running, whatever its row says."""
        if row.status in {Status.RUNNING, Status.CANCELLING} and not self.journal.owners.alive(row.owner):
            text = "cut off when its process ended; it continues when the orchestrator starts again"
            return row.model_copy(update={"status": Status.QUEUED, "message": text})
        return row

    async def events(self, run: str | None = None, after: int = 0) -> AsyncGenerator[Event]:
        """Yield the events of a run, or of all, after sequence number ``after``, for ever, as fast as they are taken.

        Nothing is lost: a subscriber that went away goes on with the last number that it saw.
        """
        while True:
            changed = asyncio.Event()
            self._heard.append(changed)
            for event in self.journal.events(run, after):
                after = event.seq
                yield event
            if not self.journal.events(run, after, 1):
                with anyio.move_on_after(PATIENCE):
                    await changed.wait()

    # Inside ----------------------------------------------------------------------------------------------------------

    def _start(self, row: RunRow) -> None:
        if self._group is None:
            raise NotReady("The engine is not running.")
        if row.id not in self._works:
            work = self._works[row.id] = Work(row.id)
            self._group.start_soon(self._conduct, row, work)

    async def _conduct(self, row: RunRow, work: Work) -> None:
        again = False
        try:
            again = await Conduct(self, work).go(row)
        except sqlite3.Error:
            log.exception("run %s could not be written down; it is taken up again in a moment", row.id)
            again = True
            await anyio.sleep(PATIENCE)
        finally:
            self._works.pop(row.id, None)
            self._tell({row.id})
        row = self.journal.run(row.id)
        if (again or row.status is Status.QUEUED) and self._group is not None:  # or woken while it was put to sleep
            self._start(row)
        elif row.status.final and row.parent is not None:
            await self.wake(row.parent)

    async def recover(self) -> None:
        """Take over the runs whose owner died, and wake those whose answer came while nobody was there."""
        unfinished = self.journal.runs(status=[one for one in Status if not one.final], most=1_000_000)
        cut = [row for row in unfinished if row.status.working and not self.journal.owners.alive(row.owner)]
        for row in reversed(cut):
            if row.workflow in self.workflows:
                log.info("taking over run %s", row.id)
                self._start(row)
        for row in unfinished:
            if row.status is Status.WAITING and not self.blocked(row.id):
                await self.wake(row.id)

    def blocked(self, run: str) -> bool:
        """Whether a waiting run still has nothing to go on with."""
        asked = {one.name for one in self.journal.approvals(run) if one.status == "asked"}
        waiting = {step.name for step in self.journal.steps(run) if step.status == "waiting"}
        if waiting & asked or not waiting:
            return bool(asked)
        below = self.journal.runs(parent=run)
        return bool(below) and not any(row.status.final for row in below)

    def _committed(self, about: set[str], operations: list[Callable[..., Any]]) -> None:
        """Hear, from whichever thread the writer works in, what has changed."""
        moved = not OF_RUNS.isdisjoint(operations) and not about.isdisjoint(self._changed)
        if (moved or self._heard) and self._loop is not None:
            self._loop.call_soon_threadsafe(self._tell, about if moved else ())

    def _tell(self, about: Iterable[str]) -> None:
        """Wake those who wait for a change of these runs, and those who wait for any event."""
        for run in about:
            if (event := self._changed.pop(run, None)) is not None:
                event.set()
        if self._heard:
            heard, self._heard = self._heard, []
            for event in heard:
                event.set()
