"""Numbers that programs keep in the memory, read without opening it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from orchestrator_memory.names import slug
from orchestrator_memory.sqlite import sqlite3

__all__ = ["key", "marked"]


def key(project: str, name: str) -> str:
    """Return what a project's mark is kept under."""
    return f"{slug(project)}:{name}"


def marked(path: Path, project: str, name: str) -> int:
    """Return a mark of a project in the database at ``path``: 0 where there is none, or no database."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=10)) as db:
            db.execute("PRAGMA query_only=ON")
            row = db.execute("SELECT value FROM meta WHERE key=?", (key(project, name),)).fetchone()
    except sqlite3.OperationalError:  # it is being made
        return 0
    return int(row[0]) if row else 0
