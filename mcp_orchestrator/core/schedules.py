"""Schedules: which workflow is started when, also after a time in which nobody was there to start it.

A due time is submitted under a key made of the schedule's name and the time, and only then is the next one noted: a
crash in between, or two processes at once, start the same run and never another one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, get_args

import anyio
from pydantic import BaseModel, Field

from mcp_orchestrator.core.cron import between, following
from mcp_orchestrator.core.invoke import plain
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.journal import schedules as plans
from mcp_orchestrator.core.rows import RunRow, of_row
from mcp_orchestrator.core.workflow import Workflow
from mcp_orchestrator.errors import InvalidInput, NotReady, OrchestratorError, UnknownName
from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["CatchUp", "Due", "Overlap", "Schedule", "Schedules"]

SECOND = 1_000_000
LATE = 120 * SECOND
"""A due time that is looked at within this time is not missed."""
JUMP = 180 * SECOND
MOST = 100
LONGEST = 60.0
EVERY = 1.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
Overlap = Literal["skip", "queue", "cancel"]
CatchUp = Literal["skip", "one", "all"]
log = logging.getLogger(__name__)


class Schedule(BaseModel):
    """A workflow that is started at certain times; times are microseconds since the epoch.

    ``overlap`` says what happens when the run before is not over: ``skip`` this time, ``queue`` until it is, or
    ``cancel`` it. ``catch_up`` says what happens to times that were missed: ``skip`` them, start ``one`` run for all,
    or ``all`` of them, the last hundred at most.
    """

    name: str
    workflow: str
    spec: dict[str, Any]
    cron: str
    zone: str = "UTC"
    next_at: int
    overlap: Overlap = "skip"
    catch_up: CatchUp = "one"
    enabled: bool = True
    last_run: str | None = None
    created: int


class Due(BaseModel):
    """What a schedule is to start now: a run for each of ``times``, and its next time after these."""

    schedule: Schedule
    times: list[int] = Field(default_factory=list[int])
    next_at: int


class Starts(Protocol):
    """What starts runs: the engine, and the orchestrator, which has the leader do it."""

    async def submit(
        self, workflow: str, spec: Mapping[str, Any], *, key: str | None = None, created_by: str = ""
    ) -> str:
        """Start a run, or return the one that was started with the same key."""
        ...


class Works(Starts, Protocol):
    """What starts and stops runs: `mcp_orchestrator.core.engine.Engine` does."""

    async def cancel(self, run: str) -> RunRow:
        """Stop a run."""
        ...


class Schedules:
    """The schedules of a state home."""

    def __init__(self, journal: Journal, clock: Callable[[], int] = now) -> None:
        """Keep them in ``journal``; ``clock`` returns microseconds since the epoch."""
        self._journal, self._clock = journal, clock

    # Reading and changing --------------------------------------------------------------------------------------------

    def list(self) -> list[Schedule]:
        """Return the schedules by name."""
        rows = self._journal.door.read().execute("SELECT * FROM schedule ORDER BY name").fetchall()
        return [Schedule(**of_row(row)) for row in rows]

    def get(self, name: str) -> Schedule:
        """Return a schedule.

        Raises:
            UnknownName: there is none of that name.

        """
        found = {one.name: one for one in self.list()}
        if name not in found:
            raise UnknownName("schedule", name, found)
        return found[name]

    def add(
        self,
        workflow: Workflow,
        name: str,
        spec: Mapping[str, Any],
        cron: str,
        *,
        zone: str = "UTC",
        overlap: str = "skip",
        catch_up: str = "one",
    ) -> Schedule:
        """Make a schedule, and return it with its first time.

        Raises:
            InvalidInput: something of it is not acceptable, or the name is taken; nothing was written.

        """
        if NAME.fullmatch(name) is None:
            raise InvalidInput("name", f"{name!r} is no name.", then="Letters, digits, '.', '_' and '-', 80 at most.")
        for field, value, allowed in (("overlap", overlap, Overlap), ("catch_up", catch_up, CatchUp)):
            if value not in get_args(allowed):
                raise InvalidInput(field, f"{value!r} is not known.", allowed=get_args(allowed))
        created = self._clock()
        made = Schedule.model_validate(
            {
                "name": name,
                "workflow": workflow.name,
                "spec": plain(dict(spec)),
                "cron": cron,
                "zone": zone,
                "next_at": following(cron, zone, created),
                "overlap": overlap,
                "catch_up": catch_up,
                "created": created,
            }
        )
        workflow.checked(made.spec)
        self._journal.at_once(plans.insert, name, made.model_dump(exclude={"last_run"}))
        return made

    def pause(self, name: str) -> Schedule:
        """Start nothing until it is resumed."""
        self.get(name)
        self._journal.at_once(plans.change, name, False, None)  # noqa: FBT003 - the column
        return self.get(name)

    def resume(self, name: str) -> Schedule:
        """Go on with the next time from now; what was due in the pause is not started."""
        one = self.get(name)
        if not one.enabled:
            self._journal.at_once(plans.change, name, True, following(one.cron, one.zone, self._clock()))  # noqa: FBT003
        return self.get(name)

    def remove(self, name: str) -> None:
        """Forget a schedule; the runs that it started are kept."""
        self.get(name)
        self._journal.at_once(plans.delete, name)

    async def trigger(self, starter: Starts, name: str) -> str:
        """Start a run of a schedule now, whatever its time, and return the run's id."""
        one = self.get(name)
        run = await starter.submit(one.workflow, one.spec, created_by=f"schedule:{name}")
        await self._journal.do(plans.started, name, run)
        return run

    # Time ------------------------------------------------------------------------------------------------------------

    def due(self, moment: int, since: int | None = None) -> list[Due]:
        """Return what is to be started at ``moment`` by somebody who has been looking ``since`` (from now on if None).

        Times long before ``since`` were missed, and treated as the schedule says; nothing is changed.
        """
        return [
            _due(one, moment, moment if since is None else min(since, moment))
            for one in self.list()
            if one.enabled and one.next_at <= moment
        ]

    async def run(self, engine: Works) -> None:
        """Start what is due, for ever."""
        since = last = self._clock()
        while True:
            moment = self._clock()
            if not 0 <= moment - last <= JUMP:
                log.warning("the clock went from %s to %s", _written(last), _written(moment))
                since = moment
            last = moment
            try:
                for due in self.due(moment, since):
                    await self._start(engine, due)
            except sqlite3.Error:
                log.exception("what is due could not be written down; it is looked at again in a moment")
            await self._rest()

    async def _rest(self) -> None:
        """Wait for the next time, for a change by anybody, or for a minute."""
        seen = self._journal.changes()
        coming = min((one.next_at for one in self.list() if one.enabled), default=None)
        for _ in range(int(LONGEST / EVERY)):
            await anyio.sleep(EVERY)
            if self._journal.changes() != seen or (coming is not None and coming <= self._clock()):
                return

    async def _start(self, engine: Works, due: Due) -> None:
        one = due.schedule
        for time, coming in zip(due.times, [*due.times[1:], due.next_at], strict=True):
            run: str | None = None
            if self._unfinished(one.last_run) and one.overlap != "cancel":
                if one.overlap == "queue":
                    return  # its turn comes when the run before is over
                await self._say(one, time, "schedule_skipped", f"run {one.last_run} is not over")
            else:
                run = await self._submit(engine, one, time)
            if not await self._journal.do(plans.move, one.name, one.next_at, coming, run):
                return  # somebody changed the schedule meanwhile
            one = one.model_copy(update={"next_at": coming, "last_run": run or one.last_run})
        if one.next_at != due.next_at:
            await self._journal.do(plans.move, one.name, one.next_at, due.next_at, None)

    async def _submit(self, engine: Works, one: Schedule, time: int) -> str | None:
        try:
            if one.overlap == "cancel" and one.last_run is not None and self._unfinished(one.last_run):
                with suppress(NotReady):  # it ended in the same moment
                    await engine.cancel(one.last_run)
            key = f"schedule:{one.name}:{_written(time)}"
            return await engine.submit(one.workflow, one.spec, key=key, created_by=f"schedule:{one.name}")
        except OrchestratorError as error:
            log.warning("schedule %s could not start a run: %s", one.name, error)
            await self._say(one, time, "schedule_failed", str(error))
            return None

    async def _say(self, one: Schedule, time: int, kind: str, reason: str) -> None:
        await self._journal.do(plans.tell, one.name, kind, {"due": _written(time), "reason": reason})

    def _unfinished(self, run: str | None) -> bool:
        try:
            return run is not None and not self._journal.run(run).status.final
        except UnknownName:  # it was forgotten
            return False


def _due(one: Schedule, moment: int, since: int) -> Due:
    times = between(one.cron, one.zone, one.next_at, moment, MOST)
    missed = [time for time in times if time < since - LATE]
    if missed and one.catch_up == "skip":
        times = times[len(missed) :]
    elif missed and one.catch_up == "one":
        times = times[-1:]
    return Due(schedule=one, times=times, next_at=following(one.cron, one.zone, moment))


def _written(moment: int) -> str:
    return datetime.fromtimestamp(moment / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
