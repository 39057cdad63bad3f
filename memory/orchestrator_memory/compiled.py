"""Statements over the tables, compiled to SQL text once and executed through the door.

They are written with SQLAlchemy Core on `tables`, so that a column has one name in one place; what runs is the text on
the door's own connection, at the cost of plain SQL; an engine and a session cost two to twelve times that.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, bindparam, column, func, insert, select
from sqlalchemy import Table as Columns
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import Executable

from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Table

__all__ = ["Statement", "add", "among", "of", "p"]

DIALECT = sqlite.dialect(paramstyle="named")


class Statement:
    """A statement of Core; what varies is a parameter made with `p`."""

    def __init__(self, statement: Executable) -> None:
        """Compile it when it is first used."""
        self._statement = statement

    @cached_property
    def _compiled(self) -> tuple[str, dict[str, Any]]:
        compiled = self._statement.compile(dialect=DIALECT)  # pyright: ignore[reportAttributeAccessIssue] # every statement has it
        names = {one.key for one in compiled.binds.values() if one.required}
        return str(compiled), {name: value for name, value in compiled.params.items() if name not in names}

    def __call__(self, db: sqlite3.Connection, **values: Any) -> sqlite3.Cursor:  # noqa: ANN401 - SQLite's values
        """Execute it with the values of its parameters."""
        text, constants = self._compiled
        return db.execute(text, constants | values)

    def __str__(self) -> str:
        """Return the SQL text."""
        return self._compiled[0]


def p(name: str) -> BindParameter[Any]:
    """Return a parameter of a statement, which is given when it is executed."""
    return bindparam(name, required=True)


def of(table: type[Table]) -> Columns:
    """Return the columns of a table, for statements of Core."""
    return table.__table__  # type: ignore[attr-defined] # SQLModel makes it


def among(one: Column[Any] | ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that a column has one of the values in parameter ``name``, a list as JSON text."""
    return one.in_(select(column("value")).select_from(func.json_each(p(name))))


@cache
def _insertion(table: Columns) -> tuple[str, dict[str, Any]]:
    columns: Iterable[Column[Any]] = [one for one in table.columns if not _numbered(one)]
    text = str(insert(table).values({one.name: bindparam(one.name) for one in columns}).compile(dialect=DIALECT))
    return text, {one.name: getattr(one.default, "arg", None) for one in columns}


def _numbered(one: Column[Any]) -> bool:
    return one.name == "id" and one.primary_key


def add(db: sqlite3.Connection, table: type[Table], **values: Any) -> int:  # noqa: ANN401 - SQLite's values
    """Insert a row, with the defaults of its class for what is not given, and return its number."""
    text, defaults = _insertion(of(table))
    return db.execute(text, defaults | values).lastrowid or 0
