"""How a database comes to have the tables: numbered steps, applied once each; a released one is never changed.

The first step is what `tables` declares, written out, with the index for the search, which SQLAlchemy does not know; a
test holds the two together.
"""

from __future__ import annotations

from importlib.resources import files

from orchestrator_memory.sqlite import sqlite3

__all__ = ["AREA", "STEPS", "harden"]

AREA = "memory"
SECURE_DELETE = (3, 42, 0)


def _steps() -> tuple[str, ...]:
    folder = files("orchestrator_memory") / "migrations"
    return tuple(
        one.read_text("utf-8")
        for one in sorted(folder.iterdir(), key=lambda one: one.name)
        if one.name.endswith(".sql")
    )


STEPS = _steps()


def harden(db: sqlite3.Connection) -> None:
    """Have the search index erase what is removed from it, where this SQLite can."""
    if sqlite3.sqlite_version_info >= SECURE_DELETE:
        db.execute("INSERT INTO memory_words(memory_words, rank) VALUES('secure-delete', 1)")
