"""Runs: submitted, worked on, watched, cancelled, taken over after a crash.

A workflow is an async function over a `Run`; a run is its rows in the journal. The engine of a process owns the runs
that it works on; a run whose owner died is taken over by the next engine that starts, and continues after its last
finished step.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from pydantic import BaseModel, ValidationError

from mcp_orchestrator import logs
from mcp_orchestrator.component import problem_of
from mcp_orchestrator.core.executors import Executor
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.errors import NotReady, OrchestratorError, OutOfTime, UnknownName, reject_unknown

__all__ = ["Call", "Engine", "Watcher", "Workflow"]

WATCH_EVERY = 0.2
MOST_CUTS = 3
Call = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
Watcher = Callable[[RunRow], Awaitable[None]]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workflow:
    """A named workflow: what it takes, the function that does it, its steps in order, and its limit in seconds.

    ``look`` makes, before a run exists, those checks of a specification that need the data and are quick.
    """

    name: str
    spec: type[BaseModel]
    function: Callable[[Run, Any], Awaitable[BaseModel]]
    steps: tuple[str, ...]
    timeout: float | None = None
    look: Callable[[Any, Call], Awaitable[None]] | None = None

    def checked(self, spec: Mapping[str, Any]) -> BaseModel:
        """Return the specification, checked and completed with the defaults.

        Raises:
            InvalidInput: a field is unknown, missing or not acceptable.

        """
        reject_unknown(spec, self.spec.model_fields, what=f"The {self.name} workflow")
        try:
            return self.spec.model_validate(dict(spec))
        except ValidationError as error:
            raise problem_of(error, what=f"the {self.name} workflow") from error


class Engine:
    """Works on runs, at most so many at once."""

    def __init__(self, journal: Journal, executor: Executor, workflows: Iterable[Workflow], *, most: int = 10) -> None:
        """Take the parts; nothing runs before the engine is entered, and workflows are looked at only when needed."""
        self.journal, self.executor = journal, executor
        self._workflows = workflows
        self._limit = anyio.CapacityLimiter(most)
        self._group: TaskGroup | None = None
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._changed: dict[str, anyio.Event] = {}

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
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._watch)
                if recover:
                    await self._recover()
                try:
                    yield self
                finally:
                    self._group = None
                    group.cancel_scope.cancel("the engine stops")
        except ExceptionGroup as errors:  # the group wraps what the block raised
            first, *others = errors.exceptions
            if others:
                raise
            raise first from first.__cause__
        finally:
            self.journal.owners.leave()

    async def submit(self, workflow: str, spec: Mapping[str, Any], *, key: str | None = None) -> str:
        """Check a specification, write the run down and start to work on it; return the run's id.

        The same ``key`` returns the run that was submitted with it before, whatever became of it.

        Raises:
            UnknownName: there is no such workflow.
            InvalidInput: the specification is not acceptable; nothing was written.

        """
        checked = self.workflow(workflow).checked(spec)
        row = await to_thread.run_sync(self.journal.submit, workflow, plain(checked), key)
        if row.status is Status.QUEUED and row.id not in self._scopes:
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

    async def wait(self, run: str, seconds: float | None = None, watcher: Watcher | None = None) -> RunRow:
        """Wait until a run has ended or ``seconds`` have passed, calling ``watcher`` whenever it changes."""
        last: RunRow | None = None
        with anyio.move_on_after(seconds):
            while True:
                row = self.seen(await to_thread.run_sync(self.journal.run, run))
                if watcher is not None and row != last:
                    await watcher(row)
                last = row
                if row.status.final or row.status is Status.PAUSED:
                    return row
                changed = self._changed.setdefault(row.id, anyio.Event())
                with anyio.move_on_after(WATCH_EVERY):  # another process may own the run
                    await changed.wait()
        return self.seen(await to_thread.run_sync(self.journal.run, run))

    def seen(self, row: RunRow) -> RunRow:
        """Return a run as it is to be shown: one whose owner died is not running, whatever its row says."""
        if row.status is Status.RUNNING and not self.journal.owners.alive(row.owner):
            text = "cut off when its process ended; it continues when the orchestrator starts again"
            return row.model_copy(update={"status": Status.QUEUED, "message": text})
        return row

    async def cancel(self, run: str) -> RunRow:
        """Stop a run; when this returns and the run was ours, its processes are gone.

        Raises:
            NotReady: the run has ended already.

        """
        row = self.journal.run(run)
        if row.status.final:
            message = f"Run {row.id} has already ended: {row.status}."
            raise NotReady(message)
        await to_thread.run_sync(self.journal.wish, row.id, "cancel")
        if row.id in self._scopes:
            self._scopes[row.id].cancel("cancelled on request")
        elif not self.journal.owners.alive(row.owner):
            await to_thread.run_sync(self.journal.abandon, row.id)
        return await self.wait(row.id, 30)

    async def pause(self, run: str) -> RunRow:
        """Let the step that works finish and start no other."""
        row = self.journal.run(run)
        if row.status.final:
            message = f"Run {row.id} has already ended: {row.status}."
            raise NotReady(message)
        await to_thread.run_sync(self.journal.wish, row.id, "pause")
        return self.journal.run(row.id)

    async def resume(self, run: str) -> RunRow:
        """Go on with a paused, failed, cancelled or cut-off run after its last finished step."""
        row = self.journal.run(run)
        unfinished = row.status in {Status.QUEUED, Status.RUNNING}
        if row.wish == "pause" and unfinished:
            await to_thread.run_sync(self.journal.wish, row.id, None)
        elif unfinished and row.id not in self._scopes and not self.journal.owners.alive(row.owner):
            self._start(row)
        else:
            await to_thread.run_sync(self.journal.reopen, row.id)
            self._start(self.journal.run(row.id))
        return self.journal.run(row.id)

    # Inside ------------------------------------------------------------------------------------------------------

    def _start(self, row: RunRow) -> None:
        if self._group is None:
            message = "The engine is not running."
            raise NotReady(message)
        scope = self._scopes[row.id] = anyio.CancelScope()
        self._group.start_soon(self._work, row.id, scope)

    async def _recover(self) -> None:
        waiting = self.journal.runs(status=(Status.QUEUED, Status.RUNNING), most=1000)
        for row in reversed(waiting):
            ours = row.workflow in self.workflows and row.id not in self._scopes
            if ours and not self.journal.owners.alive(row.owner):
                log.info("taking over run %s", row.id)
                self._start(row)

    async def _work(self, run: str, scope: anyio.CancelScope) -> None:
        token = logs.run_id.set(run)
        try:
            with scope:
                async with self._limit:
                    if await to_thread.run_sync(self.journal.claim, run):
                        await self._perform(self.journal.run(run))
            if scope.cancelled_caught:
                with anyio.CancelScope(shield=True):
                    await self._close_cancelled(run)
        finally:
            logs.run_id.reset(token)
            self._scopes.pop(run, None)
            self._tell(run)

    async def _perform(self, row: RunRow) -> None:
        """Run the workflow's function; whatever it raises becomes the run's end."""
        workflow = self.workflows[row.workflow]
        run = Run(row.id, workflow.steps, self.journal, self.executor, partial(self._tell, row.id))
        settle = partial(self.journal.settle, row.id)
        try:
            if row.cut >= MOST_CUTS:
                message = (
                    f"The process died {row.cut} times while it worked on this run; it is not tried again by itself."
                )
                raise NotReady(message)  # noqa: TRY301 - reported like every other end
            spec = workflow.checked(row.spec)
            with anyio.move_on_after(workflow.timeout) as limit:
                summary = await workflow.function(run, spec)
                status = Status.DEGRADED if run.degraded else Status.SUCCEEDED
                await to_thread.run_sync(partial(settle, status, result=plain(summary)))
            if limit.cancelled_caught:
                message = f"The run took longer than its {workflow.timeout:g} seconds and was ended."
                raise OutOfTime(message)  # noqa: TRY301 - reported like every other end
        except run.Paused:
            await to_thread.run_sync(partial(settle, Status.PAUSED))
        except OrchestratorError as error:
            await to_thread.run_sync(partial(settle, Status.FAILED, error=str(error), code=error.code))
        except Exception as error:
            log.exception("run %s crashed", row.id)
            text = f"{type(error).__name__}: {error}"
            await to_thread.run_sync(partial(settle, Status.FAILED, error=text, code="internal"))

    async def _close_cancelled(self, run: str) -> None:
        row = self.journal.run(run)
        if row.owner == self.journal.owner and row.status is Status.RUNNING:
            for step in self.journal.steps(run):
                if step.status == "running":
                    await to_thread.run_sync(
                        partial(self.journal.finish, run, step.name, "cancelled", reason="cancelled")
                    )
            await to_thread.run_sync(partial(self.journal.settle, run, Status.CANCELLED))
        elif not row.status.final:
            await to_thread.run_sync(self.journal.abandon, run)

    async def _watch(self) -> None:
        """Carry out what other processes wished for our runs."""
        while True:
            await anyio.sleep(WATCH_EVERY)
            if self._scopes:
                for row in self.journal.runs(status=(Status.QUEUED, Status.RUNNING), most=1000):
                    if row.wish == "cancel" and row.id in self._scopes:
                        self._scopes[row.id].cancel("cancelled on request")

    def _tell(self, run: str) -> None:
        if (event := self._changed.pop(run, None)) is not None:
            event.set()
