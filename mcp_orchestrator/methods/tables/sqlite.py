"""SQLite files, read-only, with queries that can do nothing but read the file they are asked of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mcp_orchestrator.errors import DataRejected, InvalidInput, NotAllowed, suggestion
from mcp_orchestrator.methods.tables.records import blocks_of
from mcp_orchestrator.methods.tables.server import distinct_names, refuse_writing
from mcp_orchestrator.methods.tables.stream import Stream, told

__all__ = ["open_sqlite"]

TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*' ORDER BY name"
READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})


def open_sqlite(path: Path, *, query: str | None, table: str | None) -> Stream:
    """Open a table or a query of a SQLite file.

    The file is opened read-only, and the query may do nothing but read it: no ATTACH, no PRAGMA, no extension.

    Raises:
        InvalidInput: the file has no such table, the query is not one that reads, or a choice is needed.
        NotAllowed: the query asks for more than reading this file.
        DataRejected: the file is no SQLite database.

    """
    if query is not None:
        refuse_writing(query)
    connection, tables = _connected(path)
    try:
        cursor = _asked(connection, query or _select(path, table, tables), tables)
        names = distinct_names([column[0] for column in cursor.description or ()])
    except BaseException:
        connection.close()
        raise

    def rows() -> Iterator[dict[str, Any]]:
        with closing(connection):
            try:
                for row in cursor:
                    yield dict(zip(names, row, strict=True))
            except (sqlite3.Error, UnicodeError) as error:
                raise DataRejected(f"{path.name} cannot be read: {told(error)}.") from error

    return Stream(blocks=blocks_of(rows(), names))


def _connected(path: Path) -> tuple[sqlite3.Connection, list[str]]:
    """Connect and list the tables.

    The second mode is for a file in WAL mode whose companions are missing and cannot be made, in a folder that may not
    be written to.
    """
    problem: Exception | None = None
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        try:
            connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            problem = error
            continue
        try:
            return connection, [str(name) for (name,) in connection.execute(TABLES)]
        except (sqlite3.Error, UnicodeError) as error:
            connection.close()
            problem = error
    raise DataRejected(f"{path.name} is not a readable SQLite database: {told(problem)}.") from problem


def _select(path: Path, table: str | None, tables: list[str]) -> str:
    if table is None and len(tables) != 1:
        raise InvalidInput("table", f"is required: {path.name} has {len(tables)} tables.", allowed=tables)
    name = table or tables[0]
    if name not in tables:
        raise InvalidInput("table", f"there is no table {name!r}.", allowed=tables, then=suggestion(name, tables))
    quoted = name.replace('"', '""')
    return f'SELECT * FROM "{quoted}"'  # noqa: S608 - a name that the file itself listed


def _asked(connection: sqlite3.Connection, query: str, tables: list[str]) -> sqlite3.Cursor:
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY)
    try:
        return connection.execute(query)
    except sqlite3.Error as error:
        if "not authorized" in str(error) or "prohibited" in str(error):
            raise NotAllowed("query: it may only read the tables of this file. Take out what does more.") from error
        raise InvalidInput("query", f"{told(error)}.", then=f"Tables: {', '.join(tables)}.") from error
