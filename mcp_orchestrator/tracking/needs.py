"""Who else has to do with a version: runs that go on with its model, and runs and schedules that name it.

The journal keeps its tables in the same database; where there is none yet, nobody does.
"""

from __future__ import annotations

import re

from orchestrator_memory.sqlite import sqlite3

__all__ = ["latest", "naming", "needing", "same"]

DONE = "('succeeded', 'degraded')"
"""How a run ends that nothing is left of to go on with; the others can be resumed, or tried again."""
FINAL = "('succeeded', 'degraded', 'failed', 'cancelled', 'timed_out')"


def same(db: sqlite3.Connection, sha256: str) -> list[str]:
    """Return the registered versions that are this model, as ``name@3``."""
    rows = db.execute("SELECT name, number FROM model_version WHERE sha256=? ORDER BY name, number", (sha256,))
    return [f"{row['name']}@{row['number']}" for row in rows]


def latest(db: sqlite3.Connection, sha256: str | None = None) -> int:
    """Return when a model was last registered (microseconds UTC), this one or any; 0 where none was."""
    text = (
        "SELECT coalesce(max(created), 0) FROM (SELECT sha256, created FROM model_version UNION ALL "
        "SELECT sha256, created FROM model_version_deleted) WHERE :sha256 IS NULL OR sha256=:sha256"
    )
    return int(db.execute(text, {"sha256": sha256}).fetchone()[0])


def needing(db: sqlite3.Connection, sha256: str, but: str = "") -> list[str]:
    """Return the runs that would go on with a model, or be tried again with it, each with its state; all ``but`` one.

    A run that only listed the registered models does not need them.
    """
    if not _journaled(db):
        return []
    text = (
        f"SELECT id, status FROM run WHERE status NOT IN {DONE} AND id<>:but "  # noqa: S608 - our own names
        f"AND NOT EXISTS(SELECT 1 FROM run AS next WHERE next.forked_from=run.id AND next.status IN {DONE}) "
        "AND (instr(spec, :sha256) OR EXISTS(SELECT 1 FROM step WHERE run=run.id AND (instr(params, :sha256) OR "
        "(instr(coalesce(result, ''), :sha256) AND (component, capability)<>('production_registry', 'find'))))) "
        "ORDER BY created"
    )
    rows = db.execute(text, {"sha256": sha256, "but": but})
    return [f"run {row['id']} ({row['status']})" for row in rows]


def naming(db: sqlite3.Connection, name: str, version: int) -> list[str]:
    """Return the runs that have not ended and the schedules in which a version stands by its name and number."""
    if not _journaled(db):
        return []
    ref = re.compile(rf"(?<![\w.-]){re.escape(name)}@v?{version}(?!\d)", re.ASCII)
    runs = db.execute(f"SELECT id, status, spec FROM run WHERE status NOT IN {FINAL} ORDER BY created")  # noqa: S608
    found = [f"run {row['id']} ({row['status']})" for row in runs if ref.search(row["spec"])]
    plans = db.execute("SELECT name, spec FROM schedule WHERE enabled ORDER BY name")
    return found + [f"schedule {row['name']!r}" for row in plans if ref.search(row["spec"])]


def _journaled(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name='schedule'").fetchone() is not None
