"""The truth about runs: what was asked, which steps have finished, and who is at work.

A finished step is on the disk before the next one starts. A run belongs to the process that holds the lock on its
owner's file; the kernel releases that lock when the process dies, however it dies, so no clock or heartbeat is needed
to know that a run was cut off.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcp_orchestrator.core.owners import Owners
from mcp_orchestrator.core.rows import Event, RunRow, Status, StepRow, run_of, step_of
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName
from orchestrator_memory.door import Door, now

__all__ = ["Journal"]

SCHEMA = (
    """
    CREATE TABLE run(
      id TEXT PRIMARY KEY, workflow TEXT NOT NULL, spec TEXT NOT NULL, status TEXT NOT NULL, owner TEXT,
      wish TEXT, key TEXT UNIQUE, result TEXT, error TEXT, error_code TEXT, cut INTEGER NOT NULL DEFAULT 0,
      progress REAL NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
      created INTEGER NOT NULL, started INTEGER, ended INTEGER
    ) STRICT;
    CREATE INDEX run_created ON run(created);
    CREATE TABLE step(
      run TEXT NOT NULL REFERENCES run(id), name TEXT NOT NULL, position INTEGER NOT NULL,
      component TEXT NOT NULL, capability TEXT NOT NULL, inputs TEXT NOT NULL, status TEXT NOT NULL,
      reason TEXT NOT NULL DEFAULT '', result TEXT, attempt INTEGER NOT NULL DEFAULT 1,
      started INTEGER NOT NULL, ended INTEGER, PRIMARY KEY(run, name)
    ) STRICT;
    CREATE TABLE event(
      seq INTEGER PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
      at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX event_run ON event(run, seq);
    """,
)


class Journal:
    """Runs, steps and events in ``orchestrator.db``."""

    def __init__(self, home: Path) -> None:
        """Open the journal of a state home."""
        self.door = Door(home / "orchestrator.db")
        self.door.migrate("journal", SCHEMA)
        self.owners = Owners(home / "owners")

    @property
    def owner(self) -> str:
        """The name of this process among the owners; empty while it owns nothing."""
        return self.owners.name

    # Runs --------------------------------------------------------------------------------------------------------

    def submit(self, workflow: str, spec: dict[str, Any], key: str | None = None) -> RunRow:
        """Write down a new run, or return the one that was submitted before with the same ``key``."""
        run = f"{secrets.token_hex(16)}"
        with self.door.write() as db:
            db.execute(
                "INSERT INTO run(id, workflow, spec, status, key, created) VALUES(?,?,?,?,?,?) "
                "ON CONFLICT(key) DO NOTHING",
                (run, workflow, json.dumps(spec), Status.QUEUED, key, now()),
            )
            row = db.execute("SELECT * FROM run WHERE id=? OR (key IS NOT NULL AND key=?)", (run, key)).fetchone()
        kept = run_of(row)
        if kept.workflow != workflow or kept.spec != json.loads(json.dumps(spec)):
            raise InvalidInput("key", f"{key!r} was used for another request.", then="Use a new key for a new request.")
        return kept

    def claim(self, run: str) -> bool:
        """Take a queued run, or one whose owner died; False when somebody else has it or it has ended."""
        row = self.run(run)
        if row.status.final or (row.owner not in {None, self.owner} and self.owners.alive(row.owner)):
            return False
        cut = row.cut + (row.status is Status.RUNNING)
        with self.door.write() as db:
            done = db.execute(
                "UPDATE run SET owner=?, status=?, started=coalesce(started, ?), cut=? "
                "WHERE id=? AND status=? AND owner IS ?",
                (self.owner, Status.RUNNING, now(), cut, run, row.status, row.owner),
            )
            return done.rowcount == 1

    def settle(
        self,
        run: str,
        status: Status,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
        code: str | None = None,
    ) -> None:
        """Give a run that this process owns another status; a final one ends the ownership."""
        ended = now() if status.final else None
        with self.door.write() as db:
            done = db.execute(
                "UPDATE run SET status=?, result=?, error=?, error_code=?, ended=?, "
                "owner=CASE WHEN ? THEN NULL ELSE owner END, wish=CASE WHEN ? THEN NULL ELSE wish END, "
                "progress=CASE WHEN ? THEN 1 ELSE progress END WHERE id=? AND owner=?",
                (
                    status,
                    None if result is None else json.dumps(result),
                    error,
                    code,
                    ended,
                    status.final,
                    status.final,
                    status in {Status.SUCCEEDED, Status.DEGRADED},
                    run,
                    self.owner,
                ),
            )
            if done.rowcount != 1:
                message = f"Run {run} is no longer owned by this process; its state was left as it is."
                raise NotReady(message)
            _event(db, run, "", f"run_{status}", {"error": error} if error else {})

    def wish(self, run: str, wish: str | None) -> None:
        """Ask the owner of a run to ``cancel`` or ``pause`` it, or take the wish back."""
        with self.door.write() as db:
            db.execute("UPDATE run SET wish=? WHERE id=?", (wish, run))

    def reopen(self, run: str) -> None:
        """Queue again a run that failed, was cancelled or paused; its finished steps keep their answers."""
        with self.door.write() as db:
            done = db.execute(
                "UPDATE run SET status=?, owner=NULL, wish=NULL, error=NULL, error_code=NULL, ended=NULL, cut=0 "
                "WHERE id=? AND status IN (?,?,?)",
                (Status.QUEUED, run, Status.FAILED, Status.CANCELLED, Status.PAUSED),
            )
            if done.rowcount != 1:
                status = self.run(run).status
                message = f"Run {run} is {status}; only a failed, cancelled or paused run can be resumed."
                raise NotReady(message)
            db.execute("DELETE FROM step WHERE run=? AND status NOT IN ('done', 'skipped')", (run,))

    def abandon(self, run: str) -> None:
        """End, as cancelled, a run that nobody works on."""
        with self.door.write() as db:
            db.execute(
                "UPDATE run SET status=?, ended=?, owner=NULL, wish=NULL WHERE id=?",
                (Status.CANCELLED, now(), run),
            )
            _event(db, run, "", "run_cancelled", {})

    def progress(self, run: str, fraction: float, message: str) -> None:
        """Note how far a run is; progress never goes back."""
        with self.door.write() as db:
            db.execute("UPDATE run SET progress=max(progress, ?), message=? WHERE id=?", (fraction, message, run))

    def run(self, run: str) -> RunRow:
        """Return a run by its id, or by the beginning of its id when only one run begins so.

        Raises:
            UnknownName: there is no such run, or more than one.

        """
        rows = (
            self.door.read()
            .execute(
                "SELECT * FROM run WHERE id=? OR (length(?) >= 6 AND substr(id, 1, length(?)) = ?) LIMIT 2", (run,) * 4
            )
            .fetchall()
        )
        if len(rows) != 1:
            then = "The beginning fits several runs; give more of it." if rows else "List them with list_runs."
            raise UnknownName("run", run, then=then)
        return run_of(rows[0])

    def runs(
        self, *, status: Iterable[str] = (), workflow: str | None = None, most: int = 50, after: int = 0
    ) -> list[RunRow]:
        """Return runs, the newest first, ``after`` the first so many."""
        wanted = list(status)
        marks = ",".join("?" * len(wanted))
        where = f"WHERE (? OR status IN ({marks})) AND (? IS NULL OR workflow=?)"
        text = f"SELECT * FROM run {where} ORDER BY created DESC, id LIMIT ? OFFSET ?"  # noqa: S608 - question marks
        values = [not wanted, *wanted, workflow, workflow, most, after]
        return [run_of(row) for row in self.door.read().execute(text, values)]

    # Steps -------------------------------------------------------------------------------------------------------

    def steps(self, run: str) -> list[StepRow]:
        """Return the steps of a run in the order in which they began."""
        rows = self.door.read().execute("SELECT * FROM step WHERE run=? ORDER BY position", (run,))
        return [step_of(row) for row in rows]

    def begin(self, run: str, name: str, component: str, capability: str, inputs: str) -> int:
        """Write down that a step starts; return which attempt it is (a step that was cut off has one before it)."""
        with self.door.write() as db:
            row = db.execute(
                "INSERT INTO step(run, name, position, component, capability, inputs, status, started) "
                "VALUES(?,?,(SELECT count(*) FROM step WHERE run=?),?,?,?,'running',?) "
                "ON CONFLICT(run, name) DO UPDATE SET "
                "attempt=CASE WHEN status='running' AND inputs=excluded.inputs THEN attempt+1 ELSE 1 END, "
                "status='running', component=excluded.component, capability=excluded.capability, "
                "inputs=excluded.inputs, "
                "started=excluded.started, ended=NULL, result=NULL, reason='' RETURNING attempt",
                (run, name, run, component, capability, inputs, now()),
            ).fetchone()
            _event(db, run, name, "step_started", {})
            return int(row[0])

    def finish(self, run: str, name: str, status: str, *, reason: str = "", result: object = None) -> None:
        """Write down how a step ended; a finished one keeps its answer for good."""
        with self.door.write() as db:
            done = db.execute(
                "UPDATE step SET status=?, reason=?, result=?, ended=? WHERE run=? AND name=? AND status='running'",
                (status, reason, json.dumps(result), now(), run, name),
            )
            if done.rowcount != 1:
                message = f"Step {name} of run {run} is not running; its state was left as it is."
                raise NotReady(message)
            _event(db, run, name, f"step_{status}", {"reason": reason} if reason else {})

    def explain(self, run: str, name: str, reason: str) -> None:
        """Give the reason for how a step ended."""
        with self.door.write() as db:
            db.execute("UPDATE step SET reason=? WHERE run=? AND name=?", (reason, run, name))

    # Events ------------------------------------------------------------------------------------------------------

    def emit(self, run: str, step: str, kind: str, data: dict[str, Any]) -> None:
        """Write down an event."""
        with self.door.write() as db:
            _event(db, run, step, kind, data)

    def events(self, run: str, after: int = 0, most: int = 200) -> list[Event]:
        """Return the events of a run after sequence number ``after``."""
        rows = self.door.read().execute(
            "SELECT * FROM event WHERE run=? AND seq>? ORDER BY seq LIMIT ?", (run, after, most)
        )
        return [Event(**{**dict(row), "data": json.loads(row["data"])}) for row in rows]


def _event(db: sqlite3.Connection, run: str, step: str, kind: str, data: dict[str, Any]) -> None:
    db.execute(
        "INSERT INTO event(run, step, kind, data, at) VALUES(?,?,?,?,?)", (run, step, kind, json.dumps(data), now())
    )
