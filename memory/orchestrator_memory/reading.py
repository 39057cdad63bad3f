"""How memories come out of the database: their columns, and the value that a row becomes."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select

from orchestrator_memory.compiled import Statement, among, of, p
from orchestrator_memory.redaction import shown
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Event, Link
from orchestrator_memory.tables import Memory as Row
from orchestrator_memory.values import Memory

__all__ = ["BY_ID", "BY_UID", "HISTORY", "LINKS", "LIST", "M", "memories", "subject", "value"]

M, A, E, L = of(Row).c, of(Agent).c, of(Event).c, of(Link).c
LATER = of(Row).alias("later")
FROM, TO = of(Row).alias("source"), of(Row).alias("target")


def memories(*more: ColumnElement[Any]) -> Select[Any]:
    """Return a selection of whole memories, each with the name of its agent and what superseded it, and ``more``."""
    columns = [one for one in of(Row).columns if one.name not in {"agent_id", "superseded_by", "words", "digest"}]
    given = [one for one in more if one.name != "id"]  # it is one of the columns
    whole = select(*columns, A.name.label("agent"), LATER.c.uid.label("superseded_by"), *given)
    return whole.select_from(
        of(Row).outerjoin(of(Agent), M.agent_id == A.id).outerjoin(LATER, M.superseded_by == LATER.c.id)
    )


BY_UID = Statement(memories(M.agent_id, M.words).where(M.project_id == p("project"), M.uid == p("uid")))
BY_ID = Statement(memories(M.agent_id).where(M.id == p("id")))
LIST = Statement(
    memories()
    .where(
        M.project_id == p("project"),
        or_(M.valid_to.is_(None), and_(p("superseded"), M.superseded_by.is_not(None))),
        or_(M.expires_at.is_(None), M.expires_at > p("now")),
        M.valid_from <= p("now"),
        or_(p("kinds").is_(None), among(M.kind, "kinds")),
        or_(p("agent").is_(None), M.agent_id == p("agent")),
        or_(p("area").is_(None), M.area == p("area")),
        or_(p("before").is_(None), M.id < p("before")),
    )
    .order_by(M.id.desc())
    .limit(p("most"))
)
HISTORY = Statement(
    select(E.operation, A.name.label("by"), E.version, E.change, E.at)
    .select_from(of(Event).outerjoin(of(Agent), E.agent_id == A.id))
    .where(E.project_id == p("project"), E.subject == p("subject"))
    .order_by(E.id)
)
LINKS = Statement(
    select(FROM.c.uid.label("source"), L.relation, TO.c.uid.label("target"))
    .select_from(of(Link).join(FROM, L.source_id == FROM.c.id).join(TO, L.target_id == TO.c.id))
    .where(or_(L.source_id == p("id"), L.target_id == p("id")))
    .order_by(L.created_at, FROM.c.id, TO.c.id, L.relation)
)


def subject(uid: str) -> str:
    """Return what events call a memory."""
    return f"memory:{uid}"


def value(row: sqlite3.Row) -> Memory:
    """Return a row of `memories` as the value that it is; what has become known as a secret since is taken out."""
    return Memory.made(
        {
            "uid": row["uid"],
            "kind": row["kind"],
            "area": row["area"],
            "title": shown(row["title"]),
            "body": shown(row["body"]),
            "data": _object(row["data"]),
            "tags": _list(row["tags"]),
            "impact": row["impact"],
            "importance": row["importance"],
            "confidence": row["confidence"],
            "evidence": _object(row["evidence"]),
            "agent": row["agent"],
            "run": row["run"],
            "origin": row["origin"],
            "trust": row["trust"],
            "source": row["source"],
            "flags": _list(row["flags"]),
            "created": row["created_at"],
            "updated": row["updated_at"],
            "valid_from": row["valid_from"],
            "valid_to": row["valid_to"],
            "superseded_by": row["superseded_by"],
            "expires": row["expires_at"],
            "pinned": bool(row["pinned"]),
            "times": row["times"],
            "used": row["used"],
            "helpful": row["helpful"],
            "harmful": row["harmful"],
            "version": row["version"],
        }
    )


def _object(text: str) -> dict[str, Any]:
    return {} if text == "{}" else json.loads(text)


def _list(text: str) -> list[str]:
    return [] if text == "[]" else json.loads(text)
