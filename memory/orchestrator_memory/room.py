"""Writes that the disk has no room for, or refuses: undone whole by SQLite, and said in words here."""

from __future__ import annotations

from pathlib import Path

from orchestrator_memory.door import Transaction
from orchestrator_memory.errors import Unavailable
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Writing", "unavailable"]

WHY = {
    "SQLITE_FULL": ("the disk, or its quota, is full", "Make room, or have what is old let go (prune), and try again."),
    "SQLITE_IOERR": ("the disk failed to read or write", "Look at the disk; `memory doctor` checks the file."),
    "SQLITE_READONLY": ("it may not be written", "Make the file and its folder writable for this user."),
    "SQLITE_CANTOPEN": ("it cannot be opened", "Make the folder writable for this user."),
    "SQLITE_BUSY": ("a program that does not wait its turn holds it", "End that program, and try again."),
    "SQLITE_CORRUPT": ("it is damaged", "Have `memory doctor` check it, and import the last export into a new file."),
    "SQLITE_NOTADB": ("it is no database", "Move the file away; a new one is made."),
}
"""What went wrong, and what to do, by the first two words of SQLite's name for it."""


class Writing(Transaction):
    """A write transaction of the memory; what SQLite cannot do is an error of the memory."""

    __slots__ = ()

    def __enter__(self) -> sqlite3.Connection:
        """Wait for the turn.

        Raises:
            Unavailable: the database cannot be written.

        """
        try:
            return super().__enter__()
        except sqlite3.Error as error:
            raise unavailable(self._door.path, error) or error from error

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Commit, or undo what was done before an error.

        Raises:
            Unavailable: it could not be written; nothing was.

        """
        try:
            super().__exit__(kind, *rest)
        except sqlite3.Error as error:
            raise unavailable(self._door.path, error) or error from error
        error = rest[0] if rest else None
        if isinstance(error, sqlite3.Error) and (told := unavailable(self._door.path, error)) is not None:
            raise told from error


def unavailable(path: Path, error: sqlite3.Error) -> Unavailable | None:
    """Return what an error of SQLite says about a database; None where it says nothing about that."""
    name = "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])
    return Unavailable(path, *WHY[name]) if name in WHY else None
