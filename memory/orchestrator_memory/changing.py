"""How memories are changed: said again, superseded, voted on, linked; each change is an event, and a new version."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy import literal_column as literal

from orchestrator_memory.compiled import Statement, add, of, p
from orchestrator_memory.errors import Conflict, NotFound, NotYours, Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.names import agent_name, new_uid
from orchestrator_memory.reading import BY_ID, BY_UID, M, subject, value
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Link
from orchestrator_memory.tables import Memory as Row
from orchestrator_memory.values import Memory
from orchestrator_memory.writing import Draft, again, indexed

__all__ = ["PIN", "QUOTA", "SAME", "USED", "VOTE", "Changes"]

QUOTA = 50_000
"""Memories that a project may have, those that were superseded among them."""
SAME = Statement(
    select(M.uid).where(
        M.project_id == p("project"),
        func.ifnull(M.agent_id, literal("0")) == p("agent"),  # as in the index
        M.kind == p("kind"),
        M.digest == p("digest"),
        M.valid_to.is_(None),
    )
)
COUNT = Statement(select(func.count()).select_from(of(Row)).where(M.project_id == p("project")))
CHANGED = {"version": M.version + 1}
AGAIN = Statement(
    update(of(Row))
    .where(M.id == p("id"))
    .values(
        **{
            name: p(name)
            for name in (
                *("words", "tags", "data", "evidence", "flags", "run", "impact", "importance", "confidence"),
                *("trust", "pinned", "expires_at", "updated_at"),
            )
        },
        times=M.times + 1,
        **CHANGED,
    )
)
OVER = Statement(update(of(Row)).where(M.id == p("id")).values(valid_to=p("at"), superseded_by=p("by"), **CHANGED))
VOTE = Statement(
    update(of(Row))
    .where(M.id == p("id"))
    .values(helpful=M.helpful + p("helpful"), harmful=M.harmful + p("harmful"), **CHANGED)
)
PIN = Statement(update(of(Row)).where(M.id == p("id")).values(pinned=p("pinned"), **CHANGED))
# Plain SQL: a table of values is nothing that Core joins in an update.
USED = """
UPDATE memory SET used = used + seen.value, used_at = :at FROM json_each(:seen) AS seen WHERE memory.uid = seen.key
"""
L = of(Link).c
LINKED = Statement(
    select(L.relation).where(L.source_id == p("source_id"), L.target_id == p("target_id"), L.relation == p("relation"))
)


class Changes:
    """Changes memories of a project, within a transaction of the caller."""

    def __init__(self, ground: Ground) -> None:
        """Change what stands in a database."""
        self._ground = ground

    def row(self, db: sqlite3.Connection, uid: str, field: str = "memory") -> sqlite3.Row:
        """Return a memory as a row, with its ``id`` and ``agent_id``.

        Raises:
            NotFound: there is none of that uid in the project.

        """
        row = BY_UID(db, project=self._ground.project, uid=uid).fetchone()
        if row is None:
            raise NotFound("memory", uid[:80], then=f"{field} is the uid of a memory, as recall gives it.")
        return row

    def new(
        self,
        db: sqlite3.Connection,
        one: Draft,
        *,
        agent: str | None,
        author: int | None,
        session: int | None,
        at: int,
        valid_from: int,
        expires: int | None,
        pinned: bool,
    ) -> Memory:
        """Write a memory that there was not; ``author`` is the number of ``agent``.

        Raises:
            Refused: the project has as many memories as it may; they are counted only where that is possible.

        """
        known = {"uid": new_uid(), "valid_from": valid_from}
        number = add(
            db,
            Row,
            project_id=self._ground.project,
            agent_id=author,
            session_id=session,
            words=indexed(one, one.tags, one.data, one.evidence),
            created_at=at,
            updated_at=at,
            expires_at=expires,
            pinned=int(pinned),
            **known,
            **one.row(),
        )
        if number > QUOTA and COUNT(db, project=self._ground.project).fetchone()[0] > QUOTA:
            then = "Prune or forget what is no longer needed."
            raise Refused("memory", f"the project has {QUOTA} memories already.", then=then)
        name = None if agent is None else agent_name(agent)
        return one.memory(**known, agent=name, created=at, updated=at, expires=expires, pinned=pinned)

    def again(self, db: sqlite3.Connection, row: sqlite3.Row, one: Draft, given: dict[str, Any]) -> Memory:
        """Count a memory that is written once more; ``given`` as for `writing.again`."""
        columns = again(value(row), row["words"], one, given)
        AGAIN(db, id=row["id"], **columns)
        change = {"times": row["times"] + 1, "confidence": columns["confidence"]}
        return self.noted(db, row, "again", row["agent_id"], change)

    def over(self, db: sqlite3.Connection, old: sqlite3.Row, new: sqlite3.Row, author: int | None, why: str) -> None:
        """Let one memory take the place of another.

        Raises:
            Conflict: it has been superseded already, or would supersede itself.
            NotYours: it is another's, and more to be trusted than what would take its place.

        """
        if old["id"] == new["id"]:
            raise Conflict(f"Memory {old['uid']} cannot supersede itself.", old["uid"])
        if old["superseded_by"] is not None:
            raise Conflict(f"Memory {old['uid']} was superseded by {old['superseded_by']}.", old["superseded_by"])
        if old["trust"] > new["trust"] and (author is None or old["agent_id"] != author):
            place = f"Memory {old['uid']} has trust {old['trust']}, what would take its place has {new['trust']}."
            raise NotYours(f"{place} Prove it by a run, or say with feedback that it misled.")
        OVER(db, id=old["id"], at=self._ground.clock(), by=new["id"])
        self.linked(db, new["id"], old["id"], "supersedes")
        self.noted(db, old, "superseded", author, {"by": new["uid"], "reason": why})

    def linked(self, db: sqlite3.Connection, source: int, target: int, relation: str) -> None:
        """Link two memories, once."""
        which = {"source_id": source, "target_id": target, "relation": relation}
        if LINKED(db, **which).fetchone() is None:
            add(db, Link, **which, created_at=self._ground.clock())

    def noted(
        self, db: sqlite3.Connection, row: sqlite3.Row, operation: str, author: int | None, change: dict[str, Any]
    ) -> Memory:
        """Write down what was done to a memory, and return it as it is now."""
        after = value(BY_ID(db, id=row["id"]).fetchone())
        told = json.dumps(change, ensure_ascii=False)
        self._ground.note(db, subject(row["uid"]), operation, agent=author, version=after.version, change=told)
        return after
