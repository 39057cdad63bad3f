"""How messages come into inboxes: to some, to all who are there, and to those who come later."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, func, insert, literal, literal_column, or_, select, update

from orchestrator_memory.compiled import Statement, among, of, p
from orchestrator_memory.errors import Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Delivery, Message

__all__ = ["caught_up", "heard", "post"]

WAITING = 20_000
"""How many messages may wait for one agent before it is sent no more."""
COUNTED = 64
"""It is counted at every so manieth message: to count at each would cost more than to send."""
A, D, M = of(Agent).c, of(Delivery).c, of(Message).c
FOR_ALL: Any = literal_column("message.broadcast = 1")
"""Written as in the index, which is used only then."""


def _deliver(message: tuple[Any, ...], *where: ColumnElement[bool]) -> Statement:
    """Deliver, as unread, what ``message`` says (number, priority, expiry) to the agents that ``where`` names."""
    columns = {
        "agent_id": A.id,
        **dict(zip(("message_id", "priority", "expires_at"), message, strict=True)),
        "state": literal("unread"),
        "claimed_by": literal(""),
        "note": literal(""),
        "not_before": literal(0),
        "attempts": literal(0),
    }
    rows = select(*columns.values()).where(*where)
    target = insert(of(Delivery)).prefix_with("OR IGNORE")
    return Statement(target.from_select(list(columns), rows, include_defaults=False))


GIVEN = (p("message"), p("priority"), p("expires"))
TO_SOME = _deliver(GIVEN, among(A.id, "to"))
TO_ALL = _deliver(GIVEN, A.project_id == p("project"), A.retired_at.is_(None), A.id != p("sender"))
CATCH_UP = _deliver(
    (M.id, M.priority, M.expires_at),
    *(A.id == p("agent"), M.project_id == A.project_id, FOR_ALL, M.id > A.heard, M.sender_id != A.id),
    or_(M.expires_at.is_(None), M.expires_at > p("at")),
)
NEWEST = select(func.max(M.id)).where(M.project_id == A.project_id, FOR_ALL).scalar_subquery()
NEWS = Statement(select(A.heard, func.coalesce(NEWEST, 0).label("newest")).where(A.id == p("agent")))
HEARD = Statement(update(of(Agent)).where(A.id == p("agent")).values(heard=p("newest")))
OTHER = of(Delivery).alias("other")
HOW_MANY = (
    select(func.count())
    .select_from(OTHER)
    .where(OTHER.c.agent_id == A.id, literal_column("other.state IN ('unread', 'claimed')"))
    .scalar_subquery()
)
FULL = Statement(
    select(A.name).join(of(Delivery), D.agent_id == A.id).where(D.message_id == p("message"), p("most") < HOW_MANY)
)


def post(db: sqlite3.Connection, ground: Ground, message: int, row: dict[str, Any], to: list[str]) -> None:
    """Deliver a message of ``row`` to some, or to all but the sender who have not retired.

    Raises:
        Refused: a recipient has more waiting than is kept.

    """
    how: dict[str, Any] = {"message": message, "priority": row["priority"], "expires": row["expires_at"]}
    if to:
        TO_SOME(db, to=json.dumps([ground.met(db, name, "to") for name in to]), **how)
    else:
        TO_ALL(db, project=ground.project, sender=row["sender_id"], **how)
    if message % COUNTED == 0 and (full := FULL(db, message=message, most=WAITING).fetchone()) is not None:
        problem = f"more than {WAITING} messages wait for {full['name']!r}."
        raise Refused("to", problem, then="It has to acknowledge some, or retire; nothing unread is dropped.")


def heard(db: sqlite3.Connection, agent: int) -> bool:
    """Whether an agent has all broadcasts that it is to get."""
    before, newest = NEWS(db, agent=agent).fetchone()
    return before >= newest


def caught_up(db: sqlite3.Connection, ground: Ground, agent: int) -> bool:
    """Deliver the broadcasts of before an agent was known, or while it had retired; whether there was any news."""
    before, newest = NEWS(db, agent=agent).fetchone()
    if before >= newest:
        return False
    CATCH_UP(db, agent=agent, at=ground.clock())
    HEARD(db, agent=agent, newest=newest)
    return True
