"""Moves of an alias from one version to another, within the caller's transaction.

An alias moves by compare-and-set: whoever decided on an older state is refused, and overwrites nothing that happened
since. Every move is kept with who, when, from, to and why: a rollback is a look into the history and never a guess.
"""

from __future__ import annotations

from typing import Any, Literal

from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.values import Value
from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Change", "holder", "holders", "move"]

Action = Literal["set", "promote", "rollback", "remove"]


class Change(Value):
    """One move of an alias: who, when, from which version to which, and why."""

    name: str
    alias: str
    action: Action
    previous: int | None
    version: int | None
    generation: int
    by: str
    why: str
    at: int


def holder(db: sqlite3.Connection, name: str, alias: str) -> tuple[int | None, int]:
    """Return version and generation; an alias that was never set is at generation 0."""
    row = db.execute("SELECT number, generation FROM model_alias WHERE name=? AND alias=?", (name, alias)).fetchone()
    return (None, 0) if row is None else (row["number"], int(row["generation"]))


def move(
    db: sqlite3.Connection,
    name: str,
    alias: str,
    *,
    action: Action,
    to: int | None,
    expected: int | None,
    by: str,
    why: str,
) -> Change:
    """Move an alias, if nobody else did since generation ``expected`` (None: whatever it is).

    Raises:
        NotReady: somebody else moved it in the meantime; nothing was changed.

    """
    previous, generation = holder(db, name, alias)
    if expected is not None and expected != generation:
        raise NotReady(
            f"The alias {alias!r} of {name!r} was moved by somebody else: it is at generation {generation} (version "
            f"{previous}), not {expected}. Nothing was changed; look at its history and decide again."
        )
    change = Change(
        name=name,
        alias=alias,
        action=action,
        previous=previous,
        version=to,
        generation=generation + 1,
        by=by,
        why=why,
        at=now(),
    )
    fields: dict[str, Any] = change.model_dump()
    db.execute(
        "INSERT INTO model_alias VALUES(:name, :alias, :version, :generation) "
        "ON CONFLICT(name, alias) DO UPDATE SET number=:version, generation=:generation",
        fields,
    )
    db.execute(
        "INSERT INTO model_alias_change(name, alias, action, previous, number, generation, by, why, at) "
        "VALUES(:name, :alias, :action, :previous, :version, :generation, :by, :why, :at)",
        fields,
    )
    return change


def holders(db: sqlite3.Connection, name: str, alias: str) -> list[int | None]:
    """Return who held the alias, as a stack: a rollback takes the last ones off, everything else puts one on.

    Versions that were deleted are left out: nothing goes back to them.
    """
    stack: list[int | None] = []
    for row in db.execute(
        "SELECT action, number FROM model_alias_change WHERE name=? AND alias=? ORDER BY seq", (name, alias)
    ):
        if row["action"] == "rollback":
            stack.pop()
            while stack and stack[-1] != row["number"]:  # deleted when it went back
                stack.pop()
        elif not stack or stack[-1] != row["number"]:
            stack.append(row["number"])
    left = {row["number"] for row in db.execute("SELECT number FROM model_version WHERE name=?", (name,))}
    there = [one for one in stack if one is None or one in left]
    return [one for place, one in enumerate(there) if place == 0 or there[place - 1] != one]
