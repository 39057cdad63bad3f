"""What runs leave in the memory: each one its task, and what it is remembered for.

The events of the journal are read in their order, and how far they were read is kept in the memory itself: whatever
dies in between, every run is written down, and once. A memory that cannot be written to costs no run anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from mcp_orchestrator.core.engine import Engine
from mcp_orchestrator.core.journal import Journal, runs
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.workflow import Lesson, Workflow
from mcp_orchestrator.errors import OrchestratorError, UnknownName
from orchestrator_memory.errors import MemoryFailure
from orchestrator_memory.sqlite import sqlite3

if TYPE_CHECKING:
    from orchestrator_memory.store import MemoryStore
    from orchestrator_memory.values import Outcome, Task

__all__ = ["ORCHESTRATOR", "Chronicle"]

ORCHESTRATOR = "orchestrator"
"""Who does what nobody else has asked for in their own name."""
OPERATIONS = frozenset({runs.submit, runs.fork, runs.end, runs.move})
READ, PRUNED = "journal", "pruned"
DAY = 24 * 3600 * 1_000_000
MOST = 500
PATIENCE = 0.05
OUTCOMES: dict[Status, Outcome] = {
    Status.SUCCEEDED: "success",
    Status.DEGRADED: "partial",
    Status.FAILED: "failure",
    Status.TIMED_OUT: "failure",
    Status.CANCELLED: "cancelled",
}
BEGUN = "run_submitted"
EVENTS = json.dumps([BEGUN, *(f"run_{one.value}" for one in OUTCOMES)])
log = logging.getLogger(__name__)


class Chronicle:
    """Writes down what became of runs."""

    def __init__(
        self,
        journal: Journal,
        memory: Callable[[], MemoryStore],
        marked: Callable[[str], int],
        workflows: Callable[[], dict[str, Workflow]],
    ) -> None:
        """Read ``journal`` and write to ``memory``, which is opened when there is something to write.

        ``marked`` returns a mark of the memory without opening it.
        """
        self._journal, self._memory, self._workflows = journal, memory, workflows
        self._marked = lambda: marked(READ)
        self._mutex = threading.Lock()
        self._due = threading.Event()
        journal.writer.listeners.append(self._committed)

    async def run(self, engine: Engine) -> None:
        """Keep up with the runs of an engine for as long as it works."""
        del engine
        loop, wake = asyncio.get_running_loop(), asyncio.Event()

        def heard(_about: set[str], operations: list[Callable[..., Any]]) -> None:
            if not OPERATIONS.isdisjoint(operations):
                loop.call_soon_threadsafe(wake.set)

        self._journal.writer.listeners.append(heard)
        try:
            self._due.set()
            while True:
                await self.settle()
                await wake.wait()
                await asyncio.sleep(PATIENCE)  # what ends together is written together
                wake.clear()
        finally:
            self._journal.writer.listeners.remove(heard)

    async def settle(self) -> None:
        """Write down what has happened since the last time, if anything has."""
        if self._due.is_set():
            await to_thread.run_sync(self.catch_up)

    def catch_up(self) -> int:
        """Write down what has happened since the last time, and return how many events that were."""
        with self._mutex:
            self._due.clear()
            try:
                return self._read()
            except (MemoryFailure, OrchestratorError, sqlite3.Error, OSError):
                log.warning("the memory could not be written; it is tried again after the next run", exc_info=True)
                self._due.set()
                return 0

    # Inside ----------------------------------------------------------------------------------------------------------

    def _committed(self, _about: set[str], operations: list[Callable[..., Any]]) -> None:
        if not OPERATIONS.isdisjoint(operations):
            self._due.set()

    def _read(self) -> int:
        if not self._events(self._marked()):
            return 0  # and no memory is opened for nothing
        memory, count = self._memory(), 0
        while found := self._events(memory.mark(READ)):
            for _, run, kind in found:
                self._write(memory, run, kind)
            memory.mark(READ, found[-1][0])
            count += len(found)
        self._tidy(memory)
        return count

    def _tidy(self, memory: MemoryStore) -> None:
        """Let go of what is long over, once a day."""
        now = memory.ground.clock()
        if now - memory.mark(PRUNED) >= DAY:
            pruned = memory.prune()
            memory.mark(PRUNED, now)
            log.info("the memory was pruned: %s", pruned)

    def _events(self, after: int) -> list[tuple[int, str, str]]:
        text = (
            "SELECT seq, run, kind FROM event WHERE seq>? AND run<>'' AND kind IN (SELECT value FROM json_each(?)) "
            "ORDER BY seq LIMIT ?"
        )
        return [tuple(row) for row in self._journal.door.read().execute(text, (after, EVENTS, MOST))]

    def _write(self, memory: MemoryStore, run: str, kind: str) -> None:
        try:
            row = self._journal.run(run)
        except UnknownName:
            return  # it was pruned since
        agent = self._agent(memory, row)
        parent = None if row.parent is None else next(iter(memory.tasks.list(run=row.parent, most=1)), None)
        task = memory.tasks.start(
            agent,
            _description(row),
            key=f"run:{row.id}",
            run=row.id,
            type=row.workflow,
            workflow=row.workflow,
            parent=None if parent is None else parent.uid,
        )
        if kind != BEGUN and task.outcome == "running":
            self._finish(memory, task, row)

    def _finish(self, memory: MemoryStore, task: Task, row: RunRow) -> None:
        lesson = self._lesson(row)
        insights = () if lesson is None else lesson.insights
        if lesson is not None:
            about: dict[str, Any] = {
                "area": lesson.area,
                "evidence": dict(lesson.evidence),
                "confidence": lesson.confidence,
                "impact": lesson.impact,
                "run": row.id,
                "origin": "run",
                "agent": task.agent,
            }
            shown = {"title": lesson.title, "tags": lesson.tags, "data": dict(lesson.data)}
            memory.memories.remember(lesson.body, kind=lesson.kind, **shown, **about)
            for one in insights:
                memory.memories.remember(one, kind="insight", tags=lesson.tags, **about)
        memory.tasks.finish(
            task.uid, OUTCOMES[row.status], agent=task.agent, insights=insights, note=(row.error or "")[:500]
        )

    def _lesson(self, row: RunRow) -> Lesson | None:
        workflow = self._workflows().get(row.workflow)
        if row.result is None or workflow is None or workflow.lesson is None:
            return _failure(row)
        try:
            return workflow.lesson(row)
        except (ValueError, LookupError):  # its result is that of an older version
            log.warning("run %s has a result that nothing can be learned from", row.id, exc_info=True)
            return None

    def _agent(self, memory: MemoryStore, row: RunRow) -> str:
        """Return who asked for a run, where that is somebody whom the memory knows."""
        if row.created_by in _names(memory):
            return row.created_by
        if ORCHESTRATOR not in _names(memory):
            memory.agents.register(ORCHESTRATOR, role="works on the runs that nobody asked for in their own name")
            memory.agents.retire(ORCHESTRATOR)  # nobody reads its mail
        return ORCHESTRATOR


def _names(memory: MemoryStore) -> Iterable[str]:
    return {one.name for one in memory.agents.list()}


def _description(row: RunRow) -> str:
    named = {name: row.spec.get(name) for name in ("name", "data", "target", "model", "against")}
    said = ", ".join(f"{name} {value}" for name, value in named.items() if isinstance(value, str) and value)
    return f"{row.workflow}: {said}"[:2000] if said else row.workflow


def _failure(row: RunRow) -> Lesson | None:
    """Return what a run that failed teaches: that this does not work, and why."""
    if row.status is not Status.FAILED or not row.error:
        return None
    return Lesson(
        kind="lesson",
        title=f"A run of {row.workflow} failed",
        body=f"{_description(row)} failed: {row.error}"[:4000],
        area=row.workflow,
        tags=tuple(filter(None, [row.workflow, row.error_code])),
        evidence={"run": row.id},
        confidence=1.0,
    )
