"""The truth about runs: what was asked, which steps have finished, and who is at work.

A finished step is on the disk before anything that needs it starts. What is read comes from connections that cannot
write; what is written goes, as operations of `runs`, `steps` and `events`, through one `Writer`.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from mcp_orchestrator.core.journal import runs as _runs
from mcp_orchestrator.core.journal.schema import SCHEMA
from mcp_orchestrator.core.journal.writer import Writer
from mcp_orchestrator.core.owners import Owners
from mcp_orchestrator.core.rows import Approval, AttemptRow, Event, RunRow, StepRow, of_row
from mcp_orchestrator.errors import UnknownName
from orchestrator_memory.door import Door, now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Journal"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Journal:
    """Runs, steps, attempts, events and approvals in ``orchestrator.db``."""

    def __init__(self, home: Path, *, synchronous: str = "FULL", anywhere: bool = True) -> None:
        """Open the journal of a state home; ``synchronous`` and ``anywhere`` are those of `Door`."""
        self.home = home
        self.door = Door(home / "orchestrator.db", synchronous=synchronous, anywhere=anywhere)
        self.door.migrate("journal", SCHEMA)
        self.owners = Owners(home / "owners")
        self.writer = Writer(self.door)

    @property
    def owner(self) -> str:
        """The name of this process among the owners; empty while it owns nothing."""
        return self.owners.name

    # Writing -----------------------------------------------------------------------------------------------------

    def do(self, operation: Callable[[sqlite3.Connection, str, *Ts], T], run: str, *args: *Ts) -> Awaitable[T]:
        """Commit an operation about a run and return its answer, once that is awaited."""
        return self.writer.do(operation, run, *args)

    def post(self, operation: Callable[[sqlite3.Connection, str, *Ts], Any], run: str, *args: *Ts) -> None:
        """Give an operation that nobody waits for; it is committed with the next one, or within milliseconds."""
        self.writer.post(operation, run, *args)

    def at_once(self, operation: Callable[[sqlite3.Connection, str, *Ts], T], run: str, *args: *Ts) -> T:
        """Commit an operation from a thread without an event loop."""
        with self.door.write() as db:
            return operation(db, run, *args)

    async def submit(self, workflow: str, spec: dict[str, Any], **about: Any) -> RunRow:  # noqa: ANN401 - columns of run
        """Write down a new run, or return the one that was submitted before with the same ``key``.

        Raises:
            InvalidInput: the key was used for something else.

        """
        given = {name: value for name, value in about.items() if value is not None}
        return await self.do(_runs.submit, secrets.token_hex(16), workflow, json.dumps(spec), given)

    def enter(self, kind: str, version: str, socket: str = "") -> int:
        """Write down that this process leads from now on; return the number of its reign."""
        with self.door.write() as db:
            db.execute("UPDATE host SET ended=? WHERE ended IS NULL", (now(),))
            values = (os.getpid(), _boot(), version, kind, socket, now())
            text = "INSERT INTO host(pid, boot, version, kind, socket, started) VALUES(?,?,?,?,?,?) RETURNING epoch"
            return int(db.execute(text, values).fetchone()[0])

    def leave(self, epoch: int) -> None:
        """Write down that this process leads no longer."""
        with self.door.write() as db:
            db.execute("UPDATE host SET ended=? WHERE epoch=? AND ended IS NULL", (now(), epoch))

    def close(self) -> None:
        """Commit what was given and close the database."""
        self.writer.close()
        self.door.close()

    # Reading -----------------------------------------------------------------------------------------------------

    def run(self, run: str) -> RunRow:
        """Return a run by its id, or by the beginning of its id when only one run begins so.

        Raises:
            UnknownName: there is no such run, or more than one.

        """
        rows = self._all("SELECT * FROM run WHERE id=?", run)
        if not rows and len(run) >= 6:  # noqa: PLR2004 - fewer would be a guess
            rows = self._all("SELECT * FROM run WHERE id>=? AND id<? LIMIT 2", run, run + "\x7f")
        if len(rows) != 1:
            then = "The beginning fits several runs; give more of it." if rows else "List them with list_runs."
            raise UnknownName("run", run, then=then)
        return RunRow(**of_row(rows[0]))

    def runs(
        self,
        *,
        status: Iterable[str] = (),
        workflow: str | None = None,
        parent: str | None = None,
        most: int = 50,
        after: int = 0,
    ) -> list[RunRow]:
        """Return runs, the newest first, ``after`` the first so many."""
        wanted = list(status)
        marks = ",".join("?" * len(wanted))
        where = f"(? OR status IN ({marks})) AND (? IS NULL OR workflow=?) AND (? IS NULL OR parent=?)"
        text = f"SELECT * FROM run WHERE {where} ORDER BY created DESC, id LIMIT ? OFFSET ?"  # noqa: S608 - question marks
        found = self._all(text, not wanted, *wanted, workflow, workflow, parent, parent, most, after)
        return [RunRow(**of_row(row)) for row in found]

    def steps(self, run: str) -> list[StepRow]:
        """Return the steps of a run in the order in which they began."""
        rows = self._all("SELECT * FROM step WHERE run=? ORDER BY position, started", run)
        return [StepRow(**of_row(row)) for row in rows]

    def attempts(self, run: str) -> list[AttemptRow]:
        """Return the attempts of a run's steps in the order in which they were asked for.

        Of one that was over within milliseconds, only what the step's row tells is known.
        """
        rows = self._all(
            "SELECT step, number, status, executor, worker, error, cpu_seconds, memory_mb, asked, started, ended "
            "FROM attempt WHERE run=? UNION ALL SELECT name, attempt, status, '', '{}', reason, 0, 0, started, "
            "started, ended FROM step WHERE run=? AND inputs<>'' AND NOT EXISTS "
            "(SELECT 1 FROM attempt WHERE run=? AND step=name AND number=step.attempt) ORDER BY asked, step, number",
            run,
            run,
            run,
        )
        return [AttemptRow(**of_row(row)) for row in rows]

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        """Return the files that a run made, each with its digest, address, name, media type, size, step and time."""
        rows = self._all("SELECT * FROM artifact WHERE run=? ORDER BY at, step, name", run)
        return [of_row(row) for row in rows]

    def approvals(self, run: str | None = None) -> list[Approval]:
        """Return what a run asked people, or all questions that are open."""
        if run is None:
            rows = self._all("SELECT * FROM approval WHERE status='asked' ORDER BY asked")
        else:
            rows = self._all("SELECT * FROM approval WHERE run=? ORDER BY asked", run)
        return [Approval(**of_row(row)) for row in rows]

    def asked(self, run: str) -> list[Approval]:
        """Return the open questions of a run and of the runs below it."""
        below = (
            "WITH RECURSIVE below(id) AS (SELECT ? UNION SELECT run.id FROM run JOIN below ON run.parent=below.id) "
            "SELECT approval.* FROM below JOIN approval ON approval.run=below.id AND status='asked' ORDER BY asked"
        )
        return [Approval(**of_row(row)) for row in self._all(below, run)]

    def events(self, run: str | None = None, after: int = 0, most: int = 200) -> list[Event]:
        """Return the events of a run, or of all runs, after sequence number ``after``."""
        rows = self._all(
            "SELECT * FROM event WHERE run=? AND seq>? ORDER BY seq LIMIT ?"
            if run is not None
            else "SELECT * FROM event WHERE ? IS NULL AND seq>? ORDER BY seq LIMIT ?",
            run,
            after,
            most,
        )
        return [Event(**of_row(row)) for row in rows]

    def changed(self, run: str) -> int:
        """Return when something last happened in a run, in microseconds UTC."""
        rows = self._all("SELECT at FROM event WHERE run=? ORDER BY seq DESC LIMIT 1", run)
        return int(rows[0][0]) if rows else self.run(run).created

    def changes(self) -> int:
        """Return a number that is another one after another process has written; asking costs microseconds."""
        return int(self.door.read().execute("PRAGMA data_version").fetchone()[0])

    def _all(self, text: str, *values: object) -> list[sqlite3.Row]:
        return self.door.read().execute(text, values).fetchall()


def _boot() -> str:
    """Name the boot of this machine, where it can be told."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text("ascii").strip() if path.exists() else ""
