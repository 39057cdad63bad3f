"""What can be done to a run from outside: cancel, pause, resume, try again, decide."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.core.conduct import Work
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal, events, runs
from mcp_orchestrator.core.rows import Approval, RunRow, Status
from mcp_orchestrator.core.workflow import Workflow
from mcp_orchestrator.errors import NotReady

__all__ = ["Control"]


class Control(ABC):
    """The part of an engine that acts on runs that exist."""

    journal: Journal
    _works: dict[str, Work]

    @abstractmethod
    def workflow(self, name: str) -> Workflow:
        """Return a workflow by its name."""

    @abstractmethod
    async def wait(self, run: str, seconds: float | None = None) -> RunRow:
        """Wait until a run has ended or is suspended."""

    @abstractmethod
    def _start(self, row: RunRow) -> None:
        """Begin to work on a run."""

    async def cancel(self, run: str) -> RunRow:
        """Stop a run and those below it; when this returns, their processes are gone.

        Raises:
            NotReady: the run has ended already.

        """
        row = self.journal.run(run)
        if row.status.final:
            raise NotReady(f"Run {row.id} has already ended: {row.status}.")
        idle = (Status.QUEUED, Status.PAUSED, Status.WAITING)
        work = self._works.get(row.id)
        if work is None and row.status in {Status.RUNNING, Status.CANCELLING}:
            idle = (*idle, *(() if self.journal.owners.alive(row.owner) else (row.status,)))
        if not await self.journal.do(runs.move, row.id, idle, Status.CANCELLED):
            await self.journal.do(runs.move, row.id, (Status.RUNNING,), Status.CANCELLING)
        if work is not None:
            work.scope.cancel("cancelled on request")
        for child in self.journal.runs(parent=row.id, status=("paused", "waiting")):
            await self.cancel(child.id)
        return await self.wait(row.id, 60)

    async def pause(self, run: str) -> RunRow:
        """Let the step that works finish and start no other.

        Raises:
            NotReady: there is nothing at work that could be paused.

        """
        row = self.journal.run(run)
        if await self.journal.do(runs.move, row.id, (Status.QUEUED,), Status.PAUSED):
            if (work := self._works.get(row.id)) is not None:
                work.set_aside()
        elif not await self.journal.do(runs.wish, row.id, "pause"):
            raise NotReady(f"Run {row.id} is {self.journal.run(row.id).status}; only one at work can be paused.")
        elif (work := self._works.get(row.id)) is not None and work.run is not None:
            work.run.wish = "pause"
        return self.journal.run(row.id)

    async def resume(self, run: str) -> RunRow:
        """Go on with a paused or cut-off run; of one that has ended, make another that begins with its finished steps.

        Raises:
            NotReady: the run is at work, or waits for a person.

        """
        row = self.journal.run(run)
        if row.status.final:
            if row.status in {Status.SUCCEEDED, Status.DEGRADED}:
                raise NotReady(f"Run {row.id} {row.status}: there is nothing left to do.")
            return await self.retry(row.id)
        if await self.journal.do(runs.move, row.id, (Status.PAUSED,), Status.QUEUED):
            self._start(self.journal.run(row.id))
        elif row.wish == "pause":
            await self.journal.do(runs.wish, row.id, None)
            if (work := self._works.get(row.id)) is not None and work.run is not None:
                work.run.wish = None
        elif row.status is Status.WAITING:
            asked = ", ".join(repr(one.name) for one in self.journal.approvals(row.id) if one.status == "asked")
            raise NotReady(f"Run {row.id} waits for a person to decide: {asked}.")
        elif row.id not in self._works and not self.journal.owners.alive(row.owner):
            self._start(row)
        else:
            raise NotReady(f"Run {row.id} is {row.status}; there is nothing to resume.")
        return self.journal.run(row.id)

    async def retry(self, run: str, *, step: str | None = None, spec: Mapping[str, Any] | None = None) -> RunRow:
        """Make a new run of one that has ended: finished steps, or those before ``step``, keep their answers.

        With another ``spec``, steps whose inputs change by it are done again.

        Raises:
            NotReady: the run has not ended.
            UnknownName: it has no such step.

        """
        row = self.journal.run(run)
        given = json.dumps(plain(self.workflow(row.workflow).checked(row.spec if spec is None else spec)))
        new = await self.journal.do(runs.fork, secrets.token_hex(16), row.id, given, step)
        self._start(new)
        return self.journal.run(new.id)

    async def decide(self, run: str, name: str, *, approved: bool, by: str, note: str = "") -> Approval:
        """Answer what a run asks a person; a run that waited for it goes on.

        Raises:
            UnknownName: the run asks nothing under this name.
            NotReady: it was answered before, or the run has ended.

        """
        row = self.journal.run(run)
        if row.status.final:
            raise NotReady(f"Run {row.id} has already ended: {row.status}.")
        decided = await self.journal.do(events.decide, row.id, name, "approved" if approved else "refused", (by, note))
        await self.wake(row.id)
        return decided

    async def wake(self, run: str) -> None:
        """Go on with a run that waits."""
        if await self.journal.do(runs.move, run, (Status.WAITING,), Status.QUEUED):
            self._start(self.journal.run(run))
