"""Which SQLite is used: that of pysqlite3 where it has a wheel, else the one that Python was built with.

A process must use one library for a file: POSIX locks are lost when a second copy of SQLite opens and closes the same
file. So nobody opens our files with ``sqlite3`` itself; files of others (MLflow's, a user's table) stay with it.
"""

from __future__ import annotations

from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        from pysqlite3 import dbapi2 as sqlite3
    except ImportError:  # no wheel for this platform
        import sqlite3

__all__ = ["FIXED", "sound", "sqlite3", "strict"]

FIXED = (3, 51, 3)
"""The version from which on a write-ahead log survives several writers and checkpointers (sqlite.org/wal.html)."""
BACKPORTED = ((3, 50, 7), (3, 44, 6))


def sound() -> bool:
    """Whether this SQLite is free of the bug that can corrupt a write-ahead log; the door's lock prevents it anyway."""
    version = sqlite3.sqlite_version_info
    return version >= FIXED or any(version[:2] == fixed[:2] and version >= fixed for fixed in BACKPORTED)


@cache
def strict() -> bool:
    """Whether this SQLite can do without trust in the schema; 3.40 holds its own JSON functions there for unsafe."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("PRAGMA trusted_schema=OFF")
        try:
            db.execute("CREATE TABLE one(value TEXT CHECK(json_valid(value)))")
            db.execute("INSERT INTO one VALUES('{}')")
        except sqlite3.OperationalError:
            return False
    return True
