"""How a delivery changes its state, each change one statement: so one of many who try succeeds, and knows it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, exists, func, literal_column, not_, null, or_, select, update

from orchestrator_memory.compiled import Statement, among, of, p
from orchestrator_memory.letters import ABOUT_DELIVERY, ABOUT_MESSAGE, JOINED
from orchestrator_memory.tables import Agent, Delivery, Message

__all__ = [
    "ACK",
    "ATTEMPTS",
    "BURY",
    "CLAIM",
    "CLAIM_SOME",
    "DEAD",
    "EVERYTHING",
    "EXTEND",
    "INBOX",
    "NACK",
    "ONE",
    "READ",
    "REVIVE",
    "THIS_ONE",
    "UNREAD",
]

ATTEMPTS = 5
"""How often a message may be claimed in vain before it is dead."""
A, D, M = of(Agent).c, of(Delivery).c, of(Message).c

OPEN: Any = literal_column("delivery.state IN ('unread', 'claimed')")
"""Written as in the index, which is used only then."""
HERE = (D.agent_id == p("agent"), OPEN)
FREE = or_(D.state == "unread", D.lease_until <= p("at"))
EXPIRED = and_(D.expires_at.is_not(None), D.expires_at <= p("at"))
WORN = and_(D.state == "claimed", D.attempts % ATTEMPTS == 0)
GONE = or_(EXPIRED, WORN)
"""What is free and gone is dead, whether or not anybody has found that out."""
WHY: Any = (
    (EXPIRED, "expired before it was acknowledged"),
    (WORN, f"claimed {ATTEMPTS} times and never acknowledged"),
)
OF_UID: Any = select(M.id).where(M.uid == p("uid"), M.project_id == p("project")).scalar_subquery()
THIS = (D.agent_id == p("agent"), D.message_id == OF_UID)


def _claim(*of_types: Any) -> Statement:  # noqa: ANN401 - conditions
    """Take what is next, or find out that it can be had no more: in one statement, so by one alone.

    One at a time: with a list of messages SQLite makes a table of them, at four times the cost.
    """
    following = (
        select(D.message_id)
        .where(*HERE, FREE, D.not_before <= p("at"), *of_types)
        .order_by(D.priority.desc(), D.message_id)
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    changed = {
        "state": case((GONE, "dead"), else_="claimed"),
        "note": case(*WHY, else_=D.note),
        "claimed_by": case((GONE, D.claimed_by), else_=p("by")),
        "lease_until": case((GONE, null()), else_=p("until")),
        "attempts": case((GONE, D.attempts), else_=D.attempts + 1),
        "read_at": func.coalesce(D.read_at, p("at")),
    }
    chosen = update(of(Delivery)).where(D.agent_id == p("agent"), D.message_id == following).values(changed)
    return Statement(chosen.returning(D.message_id, D.state))


CLAIM = _claim()
CLAIM_SOME = _claim(exists().where(M.id == D.message_id, among(M.type, "types")))
BURY = Statement(
    update(of(Delivery))
    .where(
        D.agent_id.in_(select(A.id).where(A.project_id == p("project"), or_(A.id == p("agent"), p("agent").is_(None)))),
        *(OPEN, FREE, GONE),
    )
    .values(state="dead", note=case(*WHY, else_=D.note), lease_until=None)
)
ACK = Statement(
    update(of(Delivery))
    .where(
        *THIS,
        case(
            (p("fence").is_not(None), and_(D.attempts == p("fence"), or_(D.state == "claimed", D.state == "dead"))),
            else_=or_(
                *(D.state == "unread", D.state == "dead"),
                and_(D.state == "claimed", or_(D.claimed_by == p("by"), D.lease_until <= p("at"))),
            ),
        ),
    )
    .values(state="acked", acked_at=p("at"), lease_until=None)
)
MINE = (
    *THIS,
    and_(D.state == "claimed", or_(D.lease_until > p("at"), not_(GONE))),
    case((p("fence").is_not(None), D.attempts == p("fence")), else_=D.claimed_by == p("by")),
)
NACK = Statement(
    update(of(Delivery))
    .where(*MINE)
    .values(
        state=case((D.attempts % ATTEMPTS == 0, "dead"), else_="unread"),
        claimed_by="",
        lease_until=None,
        not_before=p("later"),
        note=p("note"),
    )
)
EXTEND = Statement(update(of(Delivery)).where(*MINE).values(lease_until=p("until")))
REVIVE = Statement(
    update(of(Delivery))
    .where(*THIS, D.state == "dead")
    .values(
        state="unread",
        attempts=D.attempts + (ATTEMPTS - D.attempts % ATTEMPTS) % ATTEMPTS,  # as many again, and no fence twice
        expires_at=None,
        not_before=0,
        claimed_by="",
        note="",
    )
)
ONE = Statement(
    select(D.state, D.claimed_by, D.lease_until, D.attempts, M.id)
    .select_from(of(Message).outerjoin(of(Delivery), and_(D.message_id == M.id, D.agent_id == p("agent"))))
    .where(M.uid == p("uid"), M.project_id == p("project"))
)
READ = Statement(
    update(of(Delivery))
    .where(D.agent_id == p("agent"), among(D.message_id, "messages"), D.read_at.is_(None))
    .values(read_at=p("at"))
)
UNREAD = Statement(  # by the priority SQLite finds that the index of what is open is worth it
    select(func.count()).select_from(of(Delivery)).where(*HERE, D.priority >= 0, FREE, not_(GONE))
)
BOX: Any = (
    select(*ABOUT_MESSAGE, *ABOUT_DELIVERY)
    .select_from(JOINED.join(of(Delivery), D.message_id == M.id).join(of(Agent), A.id == D.agent_id))
    .where(D.agent_id == p("agent"))
)
OF_THREAD = or_(p("thread").is_(None), M.thread == p("thread"))
NEXT = (D.priority.desc(), D.message_id)
INBOX = Statement(BOX.where(OPEN, not_(EXPIRED), not_(and_(FREE, WORN)), OF_THREAD).order_by(*NEXT).limit(p("most")))
EVERYTHING = Statement(BOX.where(OF_THREAD).order_by(D.message_id.desc()).limit(p("most")))
DEAD = Statement(BOX.where(D.state == "dead").order_by(D.message_id.desc()).limit(p("most")))
THIS_ONE = Statement(BOX.where(D.message_id == p("message")))
