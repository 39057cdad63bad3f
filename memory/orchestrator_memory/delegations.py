"""What of a task was given to others: numbered within the task, open until it is settled.

These are steps of a transaction that `tasks` holds open.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select, update

from orchestrator_memory.compiled import Statement, add, among, of, p
from orchestrator_memory.errors import Conflict, NotFound
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Delegation, Task
from orchestrator_memory.values import Delegation as Given

__all__ = ["adopt", "close", "give", "given", "open_one", "value"]

D, CHILD = of(Delegation).c, of(Task).alias("child")
ROWS = (
    select(*D, of(Agent).c.name.label("to_name"), CHILD.c.uid.label("child"))
    .select_from(
        of(Delegation).join(of(Agent), D.to_agent_id == of(Agent).c.id).outerjoin(CHILD, D.child_task_id == CHILD.c.id)
    )
    .order_by(D.task_id, D.number)
)
ALL = Statement(ROWS.where(among(D.task_id, "tasks")))
ONE = Statement(ROWS.where(D.task_id == p("task"), D.number == p("number")))
NEXT = Statement(select(func.coalesce(func.max(D.number), 0) + 1).where(D.task_id == p("task")))
OPEN = (D.task_id == p("task"), D.to_agent_id == p("to"), D.outcome == "open")
SAME = Statement(select(D.number).where(*OPEN, D.type == p("type"), D.reason == p("reason")).limit(1))
UNADOPTED = select(func.min(D.number)).where(*OPEN, D.child_task_id.is_(None)).scalar_subquery()
ADOPT = Statement(
    update(of(Delegation)).where(D.task_id == p("task"), D.number == UNADOPTED).values(child_task_id=p("child"))
)
CLOSE = Statement(
    update(of(Delegation))
    .where(D.task_id == p("task"), D.number == p("number"))
    .values(outcome=p("outcome"), note=p("note"), settled_at=p("at"))
)


def given(db: sqlite3.Connection, tasks: Iterable[int]) -> dict[int, list[Given]]:
    """Return the delegations of tasks, by the number of the task."""
    found: dict[int, list[Given]] = {}
    for row in ALL(db, tasks=json.dumps(list(tasks))):
        found.setdefault(row["task_id"], []).append(_value(row))
    return found


def open_one(db: sqlite3.Connection, task: int, *, to: int, kind: str, reason: str) -> int | None:
    """Return the number of an open delegation that says the same: a request that comes twice makes one."""
    row = SAME(db, task=task, to=to, type=kind, reason=reason).fetchone()
    return None if row is None else int(row[0])


def give(db: sqlite3.Connection, task: int, *, to: int, **columns: Any) -> int:  # noqa: ANN401 - SQLite's values
    """Add a delegation and return its number."""
    number = int(NEXT(db, task=task).fetchone()[0])
    add(db, Delegation, task_id=task, number=number, to_agent_id=to, **columns)
    return number


def adopt(db: sqlite3.Connection, task: int, *, to: int, child: int) -> None:
    """Note the task that an agent made of the first open delegation to it, if there is one."""
    ADOPT(db, task=task, to=to, child=child)


def one(db: sqlite3.Connection, task: int, number: int) -> sqlite3.Row:
    """Return the row of a delegation.

    Raises:
        NotFound: the task has none of that number.

    """
    row: sqlite3.Row | None = ONE(db, task=task, number=number).fetchone()
    if row is None:
        raise NotFound("delegation", str(number), then="The task lists its delegations with their numbers.")
    return row


def close(db: sqlite3.Connection, task: int, number: int, *, outcome: str, note: str, at: int) -> tuple[Given, bool]:
    """Settle a delegation; return it, and whether this did it.

    Raises:
        NotFound: the task has none of that number.
        Conflict: it was settled with another outcome.

    """
    before = _value(one(db, task, number))
    if before.outcome == outcome:
        return before, False
    if before.outcome != "open":
        told = f"Delegation {number} was settled as {before.outcome}, so it cannot become {outcome}."
        raise Conflict(f"{told} Delegate again to try again.", before.model_dump())
    CLOSE(db, task=task, number=number, outcome=outcome, note=note, at=at)
    return _value(one(db, task, number)), True


def value(db: sqlite3.Connection, task: int, number: int) -> Given:
    """Return a delegation."""
    return _value(one(db, task, number))


def _value(row: sqlite3.Row) -> Given:
    return Given(
        number=row["number"],
        to=row["to_name"],
        type=row["type"],
        reason=row["reason"],
        outcome=row["outcome"],
        note=row["note"],
        task=row["child"],
        created=row["created_at"],
        settled=row["settled_at"],
    )
