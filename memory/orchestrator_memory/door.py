"""The one way to a SQLite file that several processes share.

Writers take an advisory lock on a file beside the database before ``BEGIN IMMEDIATE``: SQLite before 3.51.3 can
corrupt a write-ahead log under several writers and checkpointers, and without the lock eight writers starve each
other. Readers are ``query_only`` and never wait. A transaction is short and never spans an await.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from orchestrator_memory.lock import FileLock
from orchestrator_memory.place import network
from orchestrator_memory.sqlite import sqlite3, strict

__all__ = ["Busy", "Door", "NetworkPlace", "NewerSchema", "Transaction", "now"]

TIMEOUT = 30
"""Seconds for which a connection waits for a writer that does not come through this door."""
PRAGMAS = {
    "foreign_keys": "ON",
    "cell_size_check": "ON",
    "secure_delete": "ON",  # what is deleted is overwritten
    "journal_size_limit": 64 * 2**20,
}


class Busy(RuntimeError):
    """Somebody else is writing, and the caller did not want to wait."""


class NetworkPlace(RuntimeError):
    """The database would lie on a file system of another machine, where locks cannot be relied on."""


class NewerSchema(RuntimeError):
    """The database was written by a newer version of the program; it is left as it is."""


def now() -> int:
    """Return the time as integer microseconds UTC."""
    return time.time_ns() // 1000


class _Connection(sqlite3.Connection):
    """Closes itself when nobody holds it any more: a reader lives as long as its thread does."""

    opened = False

    def __del__(self) -> None:
        """Close; Python 3.13 warns of a connection that is let go open."""
        if self.opened:  # pysqlite3 crashes on closing one that could not be opened
            self.close()


class Door:
    """A SQLite database in WAL mode with one writer at a time, over all processes."""

    def __init__(self, path: Path, *, synchronous: str = "FULL", anywhere: bool = True) -> None:
        """Open the database at ``path``, making it and its folder (owner only) when they are missing.

        ``synchronous`` is SQLite's: FULL survives a power cut with all that was committed, NORMAL may lose the last
        commits in one, and nothing when only the process dies. Not ``anywhere``: only on a disk of this
        machine.

        Raises:
            NetworkPlace: the folder lies on the file system of another machine.

        """
        self.path = path
        kind = None if anywhere else network(path)
        if kind is not None:
            message = f"{path} lies on a network file system ({kind}), where locks cannot be relied on."
            raise NetworkPlace(f"{message} Choose a folder on a disk of this machine, or allow it explicitly.")
        self._synchronous = synchronous
        self._mutex = threading.RLock()
        self._depth = 0
        self._holder = 0
        self._lock = FileLock(path.with_name(path.name + ".lock"), often=True)
        self._readers = threading.local()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.turn():
            fresh = not path.exists()
            self._writer = self._connect()
            if fresh:
                path.chmod(0o600)
            self._writer.execute("PRAGMA journal_mode=WAL")

    def migrate(
        self, area: str, steps: Sequence[str], then: Callable[[sqlite3.Connection], None] = lambda _: None
    ) -> None:
        """Bring ``area`` of the schema up to date: each numbered step (SQL text) is applied once, under the lock.

        What was there is copied before; ``then`` is called after steps were applied, in the transaction of the last.

        Raises:
            NewerSchema: the database has steps that this version does not know.

        """
        with self.turn():
            self._writer.execute(
                "CREATE TABLE IF NOT EXISTS migration("
                "area TEXT, number INTEGER, at INTEGER, PRIMARY KEY(area, number)) STRICT",
            )
            last = "SELECT coalesce(max(number), 0) FROM migration WHERE area=?"
            done = int(self._writer.execute(last, (area,)).fetchone()[0])
            if done > len(steps):
                message = (
                    f"{self.path} has schema {done} of {area!r}, this version knows {len(steps)}. "
                    "Use the newer version of the program; nothing was changed."
                )
                raise NewerSchema(message)
            if 0 < done < len(steps):
                self._back_up(f"{area}-{done}")
            for number, step in enumerate(steps[done:], start=done + 1):
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    for statement in statements(step):
                        self._writer.execute(statement)
                    if number == len(steps):
                        then(self._writer)
                    self._writer.execute("INSERT INTO migration VALUES(?, ?, ?)", (area, number, now()))
                except BaseException:
                    self._writer.execute("ROLLBACK")
                    raise
                self._writer.execute("COMMIT")

    def write(self, *, wait: bool = True) -> Transaction:
        """Hold the one write transaction; it is committed at the end, rolled back on any error.

        Raises:
            Busy: somebody else is writing, and the caller did not want to ``wait`` (on entering).

        """
        return Transaction(self, wait=wait)

    def read(self) -> sqlite3.Connection:
        """Return this thread's read-only connection; rows answer to column names."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._readers.connection = connection
        return connection

    def near(self) -> sqlite3.Connection:
        """Return the connection that reads soonest: in a turn of this thread the writer's, else that of `read`.

        A reader lets go of all pages that it knows when anybody has written; the writer only when another process has.
        """
        if self._holder == threading.get_ident() and not self._writer.in_transaction:
            return self._writer
        return self.read()

    def scoured(self, *, seconds: float = 5.0) -> bool:
        """Rewrite the database without a trace of what was deleted from it, and empty its log.

        False where somebody went on reading what was before for longer than ``seconds``: the log is not empty then.
        Takes as long as writing the whole file, and as much room again meanwhile.
        """
        with self.turn():
            self._writer.execute("VACUUM")
            self._writer.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")
            try:
                held, pages, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._writer.execute(f"PRAGMA busy_timeout={TIMEOUT * 1000}")
        return not held and not pages

    def close(self) -> None:
        """Close the writer; readers close with their threads."""
        with self._mutex:
            self._writer.close()
            self._lock.close()
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is not None:
            connection.close()
            del self._readers.connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            isolation_level=None,
            timeout=TIMEOUT,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.opened = True
        connection.row_factory = sqlite3.Row
        for name, value in PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}")
        if strict():
            connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        return connection

    def _back_up(self, label: str) -> None:
        target = self.path.with_name(f"{self.path.name}.before-{label}")
        with closing(sqlite3.connect(target)) as copy:
            self._writer.backup(copy)
        target.chmod(0o600)

    def begin(self, *, wait: bool) -> sqlite3.Connection:
        """Start the write transaction; whoever does must `end` it."""
        self._take(wait=wait)
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._release()
            raise
        return self._writer

    def end(self, *, commit: bool) -> None:
        """Commit the write transaction or roll it back; one that cannot be committed is rolled back."""
        try:
            if commit:
                self._writer.execute("COMMIT")
        finally:
            try:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            finally:
                self._release()

    @contextmanager
    def turn(self, *, wait: bool = True) -> Generator[None]:
        """Hold the turn to write over several transactions of this thread: nobody else writes in between.

        Raises:
            Busy: somebody else is writing, and the caller did not want to ``wait``.

        """
        self._take(wait=wait)
        try:
            yield
        finally:
            self._release()

    def _take(self, *, wait: bool = True) -> None:
        if not self._mutex.acquire(blocking=wait):
            raise Busy(str(self.path))
        try:
            taken = self._depth > 0 or self._lock.acquire(wait=wait)
        except BaseException:
            self._mutex.release()
            raise
        if not taken:
            self._mutex.release()
            raise Busy(str(self.path))
        self._depth += 1
        self._holder = threading.get_ident()

    def _release(self) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                self._holder = 0
                self._lock.release()
        finally:
            self._mutex.release()


def statements(text: str) -> Generator[str]:
    """Yield the statements of a text of SQL; a trigger is one, whatever semicolons it has."""
    so_far = ""
    for part in text.split(";"):
        so_far += part + ";"
        if sqlite3.complete_statement(so_far):
            if so_far.strip(" \n\t;"):
                yield so_far
            so_far = ""


class Transaction:
    """The write transaction of a door, held with ``with``; a generator would cost a step of a run a tenth more."""

    __slots__ = ("_door", "_wait")

    def __init__(self, door: Door, *, wait: bool) -> None:
        """Start nothing yet."""
        self._door, self._wait = door, wait

    def __enter__(self) -> sqlite3.Connection:
        """Wait for the turn, and return the connection to write through."""
        return self._door.begin(wait=self._wait)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit, or undo what was done before an error."""
        self._door.end(commit=kind is None)
