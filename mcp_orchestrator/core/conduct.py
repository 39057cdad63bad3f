"""One run from its turn to its end, or to the point where it has to wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from mcp_orchestrator import logs
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.family import Family, Suspended
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal, runs
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Need
from mcp_orchestrator.core.workflow import Workflow
from mcp_orchestrator.errors import NotReady, OrchestratorError, OutOfTime
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Conduct", "Work"]

MOST_CUTS = 5
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Work:
    """A run that this process works on."""

    id: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    run: Run | None = None
    leaving: bool = False
    aside: bool = False

    def set_aside(self) -> None:
        """Stop waiting for a turn, if the run has not begun; whether it is paused or queued, its row says."""
        if self.run is None:
            self.aside = True
            self.scope.cancel("set aside before it began")

    def leave(self) -> None:
        """Let the run be continued by whoever comes next."""
        self.leaving = True
        if self.run is not None:
            self.run.leaving = True


class House(Family, Protocol):
    """The engine, as far as one run needs it."""

    journal: Journal
    dispatcher: Dispatcher
    places: Resources
    version_of: Callable[[str], str]

    def workflow(self, name: str) -> Workflow:
        """Return a workflow by its name."""
        ...

    def blocked(self, run: str) -> bool:
        """Whether a waiting run still has nothing to go on with."""
        ...


class Conduct:
    """Leads one run."""

    def __init__(self, house: House, work: Work) -> None:
        """Work for an engine."""
        self._house, self._work, self._journal = house, work, house.journal

    async def go(self, row: RunRow) -> bool:
        """Work on a run until it has ended or is suspended; say whether it is to be taken up again at once."""
        token, again = logs.run_id.set(row.id), False
        claimed: RunRow | None = None
        limit = None if row.deadline is None else max(0.0, row.deadline / 1e6 - time.time())
        try:
            with anyio.move_on_after(limit) as deadline, self._work.scope:
                async with AsyncExitStack() as held:
                    if row.parent is None:  # a run below another one takes its turn with it
                        need = Need(cpus=0, slots={"runs": 1})
                        turn = self._house.places.lease(need, priority=row.priority, fair=row.fair, label=row.id)
                        await held.enter_async_context(turn)
                    claimed = await self._claim(row)
                    if claimed is not None and not self._work.aside:
                        again = await self._perform(claimed)
            if deadline.cancelled_caught:
                with anyio.CancelScope(shield=True):
                    await self._end(claimed or await self._claim(row), Status.TIMED_OUT, row.id)
            elif self._work.scope.cancelled_caught or self._work.aside:
                with anyio.CancelScope(shield=True):
                    await self._stopped(claimed, row.id)
        except anyio.get_cancelled_exc_class():
            if claimed is not None and self._work.leaving:
                with anyio.CancelScope(shield=True):
                    await self._journal.do(runs.release, row.id, claimed.fence, Status.QUEUED)
            raise
        finally:
            logs.run_id.reset(token)
        return again

    async def _stopped(self, row: RunRow | None, run: str) -> None:
        """End a run that was cancelled; one that was only set aside may be queued again by now, and has its turn."""
        if self._work.aside and (row is None or await self._journal.do(runs.release, run, row.fence, Status.QUEUED)):
            return
        await self._end(row, Status.CANCELLED, run)

    async def _claim(self, row: RunRow) -> RunRow | None:
        with anyio.CancelScope(shield=True):  # what is claimed must be known to be
            return await self._journal.do(runs.claim, row.id, self._journal.owner, row.owner)

    async def _perform(self, row: RunRow) -> bool:
        """Run the workflow's function; whatever it raises becomes the run's end."""
        if row.status is Status.CANCELLING:  # its process died while it was being cancelled
            await self._end(row, Status.CANCELLED, row.id)
            return False
        try:
            result, status = await self._function(row)
            await self._journal.do(runs.end, row.id, row.fence, status, {"result": result})
        except Suspended as reason:
            await self._journal.do(runs.release, row.id, row.fence, reason.status)
            if reason.status is Status.WAITING and not self._house.blocked(row.id):
                return await self._journal.do(runs.move, row.id, (Status.WAITING,), Status.QUEUED)
        except OrchestratorError as error:
            given = {"error": str(error), "error_code": error.code}
            status = Status.TIMED_OUT if isinstance(error, RunOutOfTime) else Status.FAILED
            await self._journal.do(runs.end, row.id, row.fence, status, given)
        except sqlite3.Error:
            raise
        except Exception as error:
            log.exception("run %s crashed", row.id)
            given = {"error": f"{type(error).__name__}: {error}", "error_code": "internal"}
            await self._journal.do(runs.end, row.id, row.fence, Status.FAILED, given)
        return False

    async def _function(self, row: RunRow) -> tuple[Any, Status]:
        workflow, house = self._house.workflow(row.workflow), self._house
        if row.cut >= MOST_CUTS:
            times = f"The process died {row.cut} times while it worked on the same step of this run"
            raise NotReady(f"{times}; it is not tried again by itself. Resume the run to try once more.")
        run = self._work.run = Run(row, workflow.steps, self._journal, house.dispatcher, house, house.version_of)
        run.leaving = self._work.leaving
        spec = workflow.checked(row.spec)
        try:
            with anyio.move_on_after(workflow.timeout):
                summary = await workflow.function(run, spec)
                return plain(summary), Status.DEGRADED if run.degraded else Status.SUCCEEDED
        finally:
            run.say()
        raise RunOutOfTime(f"The run took longer than its {workflow.timeout:g} seconds and was ended.")

    async def _end(self, row: RunRow | None, status: Status, run: str) -> None:
        """End a run that was stopped, whether or not it had begun."""
        if row is None:
            await self._journal.do(runs.move, run, (Status.QUEUED,), status)
            return
        given: Mapping[str, Any] = {}
        if status is Status.TIMED_OUT:
            given = {"error": "The run's deadline passed.", "error_code": OutOfTime.code}
        await self._journal.do(runs.end, run, row.fence, status, dict(given))


class RunOutOfTime(OutOfTime):
    """The run as a whole took too long, not a step of it."""
