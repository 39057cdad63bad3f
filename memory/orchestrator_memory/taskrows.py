"""The rows of tasks: how they are found, and what the memory returns of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from sqlalchemy import func, select, tuple_, update

from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.delegations import given
from orchestrator_memory.errors import Conflict, NotFound
from orchestrator_memory.ground import Ground
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Task
from orchestrator_memory.values import Task as Known

__all__ = ["OF_KEY", "change", "listed", "row_of", "running", "same_version", "single", "tasks_of"]

T, PARENT = of(Task).c, of(Task).alias("parent")
SHOWN = (of(Agent).c.name.label("agent_name"), PARENT.c.uid.label("parent_uid"), PARENT.c.agent_id.label("above"))
ROWS = select(*T, *SHOWN).select_from(
    of(Task).join(of(Agent), T.agent_id == of(Agent).c.id).outerjoin(PARENT, T.parent_id == PARENT.c.id)
)
OF_UID = Statement(ROWS.where(T.project_id == p("project"), T.uid == p("uid")))
OF_ID = Statement(ROWS.where(T.id == p("id")))
OF_KEY = Statement(
    select(T.id).where(T.project_id == p("project"), T.agent_id == p("agent"), T.key == p("key")),
)
KNOWN = Statement(select(T.uid).where(T.project_id == p("project")).order_by(T.id.desc()).limit(1000))
CHANGE = Statement(
    update(of(Task))
    .where(T.id == p("id"))
    .values(
        outcome=func.coalesce(p("outcome"), T.outcome),
        progress=func.max(T.progress, p("progress")),
        note=func.coalesce(p("note"), T.note),
        phase=func.coalesce(p("phase"), T.phase),
        insights=func.coalesce(p("insights"), T.insights),
        run=func.coalesce(p("run"), T.run),
        tokens_in=T.tokens_in + p("tokens_in"),
        tokens_out=T.tokens_out + p("tokens_out"),
        ended_at=func.coalesce(T.ended_at, p("ended")),
        updated_at=p("at"),
        version=T.version + 1,
    )
)
UNCHANGED = dict.fromkeys(("outcome", "note", "phase", "insights", "run", "ended")) | {"progress": 0.0}


def row_of(db: sqlite3.Connection, ground: Ground, uid: str, field: str = "task") -> sqlite3.Row:
    """Return the row of a task of this project.

    Raises:
        NotFound: the project has no such task.

    """
    row: sqlite3.Row | None = OF_UID(db, project=ground.project, uid=uid.strip()).fetchone()
    if row is None:
        known = [one[0] for one in KNOWN(db, project=ground.project)]
        raise NotFound(field, uid[:80], known, then="The list of tasks has their ids.")
    return row


def change(db: sqlite3.Connection, task: int, *, at: int, tokens: tuple[int, int] = (0, 0), **columns: Any) -> None:  # noqa: ANN401
    """Change what is named of a task, and count its version; tokens are added, progress only grows."""
    CHANGE(db, id=task, at=at, tokens_in=tokens[0], tokens_out=tokens[1], **(UNCHANGED | columns))


def single(db: sqlite3.Connection, task: int) -> Known:
    """Return a task by its number inside."""
    return tasks_of(db, [OF_ID(db, id=task).fetchone()])[0]


def listed(db: sqlite3.Connection, ground: Ground, most: int, **wanted: Any) -> list[sqlite3.Row]:  # noqa: ANN401
    """Return the rows of tasks that have what is ``wanted`` (None: whatever it is), the latest first."""
    asked = {name: value for name, value in wanted.items() if value is not None}
    before = asked.pop("before", None)
    if before is not None:
        last = row_of(db, ground, before, "before")
        asked |= {"last_at": last["started_at"], "last": last["id"]}
    return _listing(frozenset(asked))(db, project=ground.project, most=most, **asked).fetchall()


@cache
def _listing(names: frozenset[str]) -> Statement:
    conditions = {
        "agent": T.agent_id == p("agent"),
        "outcome": T.outcome == p("outcome"),
        "run": T.run == p("run"),
        "parent": T.parent_id == p("parent"),
        "since": T.started_at >= p("since"),
        "last": tuple_(T.started_at, T.id) < tuple_(p("last_at"), p("last")),
    }
    narrowed = ROWS.where(T.project_id == p("project"), *(conditions[one] for one in sorted(names & conditions.keys())))
    return Statement(narrowed.order_by(T.started_at.desc(), T.id.desc()).limit(p("most")))


def tasks_of(db: sqlite3.Connection, rows: list[sqlite3.Row]) -> list[Known]:
    """Return the tasks of rows, with their delegations."""
    parts = given(db, [row["id"] for row in rows])
    return [
        Known(
            uid=row["uid"],
            agent=row["agent_name"],
            description=row["description"],
            outcome=row["outcome"],
            progress=row["progress"],
            note=row["note"],
            type=row["type"],
            workflow=row["workflow"],
            phase=row["phase"],
            run=row["run"],
            parent=row["parent_uid"],
            insights=json.loads(row["insights"]),
            delegations=parts.get(row["id"], []),
            data=json.loads(row["data"]),
            tokens_in=row["tokens_in"],
            tokens_out=row["tokens_out"],
            started=row["started_at"],
            updated=row["updated_at"],
            ended=row["ended_at"],
            version=row["version"],
        )
        for row in rows
    ]


def running(db: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Refuse with the task as it is when it has ended."""
    if row["outcome"] != "running":
        message = f"Task {row['uid']} has ended: {row['outcome']}. That is final; start another task."
        raise Conflict(message, single(db, row["id"]).model_dump())


def same_version(db: sqlite3.Connection, row: sqlite3.Row, expected: int | None) -> None:
    """Refuse with the task as it is when it has another version than was expected."""
    if expected is not None and expected != row["version"]:
        message = f"Task {row['uid']} has version {row['version']}, version {expected} was expected."
        raise Conflict(f"{message} Look at it again.", single(db, row["id"]).model_dump())
