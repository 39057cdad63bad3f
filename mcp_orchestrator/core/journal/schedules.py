"""What is written about schedules; when they are due is for `mcp_orchestrator.core.schedules` to know."""

from __future__ import annotations

import json
from typing import Any

from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.errors import InvalidInput
from orchestrator_memory.sqlite import sqlite3

__all__ = ["change", "delete", "insert", "move", "started", "tell"]


def insert(db: sqlite3.Connection, name: str, one: dict[str, Any]) -> None:
    """Write down a new schedule.

    Raises:
        InvalidInput: there is one of that name.

    """
    values = {**one, "spec": json.dumps(one["spec"])}
    marks = ",".join("?" * len(values))
    text = f"INSERT INTO schedule({','.join(values)}) VALUES({marks}) ON CONFLICT DO NOTHING"
    if db.execute(text, list(values.values())).rowcount != 1:
        raise InvalidInput("name", f"there is a schedule {name!r} already.", then="Remove it first, or take another.")
    tell(db, name, "schedule_added", {field: one[field] for field in ("workflow", "cron", "zone")})


def change(db: sqlite3.Connection, name: str, enabled: bool, next_at: int | None) -> None:  # noqa: FBT001 - a column
    """Switch a schedule on, with its next time, or off."""
    text = "UPDATE schedule SET enabled=?, next_at=coalesce(?, next_at) WHERE name=?"
    if db.execute(text, (enabled, next_at, name)).rowcount == 1:
        tell(db, name, "schedule_resumed" if enabled else "schedule_paused", {})


def delete(db: sqlite3.Connection, name: str) -> None:
    """Forget a schedule."""
    if db.execute("DELETE FROM schedule WHERE name=?", (name,)).rowcount == 1:
        tell(db, name, "schedule_removed", {})


def move(db: sqlite3.Connection, name: str, before: int, after: int, run: str | None) -> bool:
    """Note the next time of a schedule, and the run that was started; False when somebody changed it meanwhile."""
    text = "UPDATE schedule SET next_at=?, last_run=coalesce(?, last_run) WHERE name=? AND next_at=?"
    return db.execute(text, (after, run, name, before)).rowcount == 1


def started(db: sqlite3.Connection, name: str, run: str) -> None:
    """Note the run that was started last."""
    db.execute("UPDATE schedule SET last_run=? WHERE name=?", (run, name))


def tell(db: sqlite3.Connection, name: str, kind: str, data: dict[str, Any]) -> None:
    """Write down an event that belongs to no run."""
    emit(db, "", "", kind, {"schedule": name, **data})
