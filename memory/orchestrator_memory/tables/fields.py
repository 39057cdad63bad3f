"""What the tables are made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

__all__ = ["KEYED", "PAIRED", "Table", "json", "number", "one_of", "refers", "text", "valid"]

KEYED: dict[str, Any] = {"sqlite_strict": True, "sqlite_autoincrement": True}
PAIRED: dict[str, Any] = {"sqlite_strict": True, "sqlite_with_rowid": False}


class Table(SQLModel, registry=registry()):
    """A table of the memory, in a registry of its own."""


def number() -> Any:  # noqa: ANN401 - a field
    """Return the number of a row, which is its place in time and stays inside."""
    return Field(default=None, primary_key=True)


def text(default: Any = ..., **how: Any) -> Any:  # noqa: ANN401 - a field
    """Return a text."""
    return Field(default, sa_type=Text, **how)


def json(default: str = "{}") -> Any:  # noqa: ANN401 - a field
    """Return a JSON value, as text."""
    return Field(default, sa_type=Text)


def refers(target: str, *, optional: bool = False, **how: Any) -> Any:  # noqa: ANN401 - a field
    """Return a reference to a column of another table."""
    return Field(default=None if optional else ..., foreign_key=target, **how)


def one_of(column: str, *values: str) -> CheckConstraint:
    """Return the rule that a column has one of some values."""
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})")


def valid(*columns: str) -> list[CheckConstraint]:
    """Return the rules that columns hold JSON."""
    return [CheckConstraint(f"json_valid({one})") for one in columns]
