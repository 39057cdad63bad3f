"""How rows of messages and deliveries become values."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from sqlalchemy import select

from orchestrator_memory.compiled import Statement, among, of
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Delivery, Message
from orchestrator_memory.values import Message as Letter
from orchestrator_memory.values import Priority, Receipt

__all__ = ["ABOUT_DELIVERY", "ABOUT_MESSAGE", "JOINED", "PRIORITIES", "letter", "letters", "receipts", "recipients"]

PRIORITIES: tuple[str, ...] = get_args(Priority)
"""By rank: what has a greater number is read first."""
A, D, M = of(Agent).c, of(Delivery).c, of(Message).c
SENDER, ANSWERED = of(Agent).alias("sender"), of(Message).alias("answered")
JOINED: Any = (
    of(Message)
    .join(SENDER, SENDER.c.id == M.sender_id)
    .outerjoin(ANSWERED, ANSWERED.c.id == M.reply_to)
)  # fmt: skip
"""Messages, with whom they are from and what they answer."""
ABOUT_MESSAGE = (
    *(M.id, M.uid, M.broadcast, M.type, M.priority, M.subject, M.body, M.thread, M.task, M.details, M.flags),
    *(M.ack, M.created_at, M.expires_at, SENDER.c.name.label("sender"), ANSWERED.c.uid.label("answers")),
)
ABOUT_DELIVERY = (
    *(D.message_id, D.state, D.claimed_by, D.lease_until, D.attempts, D.note, D.read_at, D.acked_at),
    A.name.label("recipient"),
)


DELIVERIES = Statement(
    select(*ABOUT_DELIVERY)
    .select_from(of(Delivery).join(of(Agent), A.id == D.agent_id))
    .where(among(D.message_id, "messages"))
    .order_by(A.name)
)


def recipients(db: sqlite3.Connection, messages: Iterable[int]) -> dict[int, list[Receipt]]:
    """Return the receipts of messages by the numbers of these, each by the name of the recipient."""
    found: dict[int, list[Receipt]] = defaultdict(list)
    for row in DELIVERIES(db, messages=json.dumps(list(messages))):
        found[row["message_id"]].append(receipts(row))
    return found


def receipts(row: sqlite3.Row) -> Receipt:
    """Return a message at one of its recipients."""
    return Receipt(
        agent=row["recipient"],
        state=row["state"],
        by=row["claimed_by"],
        until=row["lease_until"],
        attempts=row["attempts"],
        note=row["note"],
        read=row["read_at"],
        acked=row["acked_at"],
    )


def letter(row: Mapping[str, Any] | sqlite3.Row, **more: Any) -> Letter:  # noqa: ANN401 - fields of a message
    """Return a message, of its row and of what is known otherwise."""
    return Letter(
        uid=row["uid"],
        sender=row["sender"],
        broadcast=bool(row["broadcast"]),
        type=row["type"],
        priority=PRIORITIES[row["priority"]],  # type: ignore[arg-type] # the check of the column
        subject=row["subject"],
        body=row["body"],
        thread=row["thread"],
        reply_to=row["answers"],
        task=row["task"],
        details=json.loads(row["details"]),
        flags=json.loads(row["flags"]),
        ack=bool(row["ack"]),
        created=row["created_at"],
        expires=row["expires_at"],
        **more,
    )


def letters(
    db: sqlite3.Connection, rows: Sequence[sqlite3.Row], *, one: bool = False, each: bool = False
) -> list[Letter]:
    """Return messages: with the receipt of the ``one`` recipient that each row has, or with those of ``each``."""
    numbers = [row["id"] for row in rows if each or not row["broadcast"]]
    known = recipients(db, numbers) if numbers else {}
    found: list[Letter] = []
    for row in rows:
        theirs = known.get(row["id"], [])
        to = [] if row["broadcast"] else [receipt.agent for receipt in theirs]
        found.append(letter(row, to=to, receipt=receipts(row) if one else None, receipts=theirs if each else []))
    return found
