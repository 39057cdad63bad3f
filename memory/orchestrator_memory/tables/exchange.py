"""What is shared and what is told."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy import text as sql

from orchestrator_memory.tables.fields import KEYED, PAIRED, Table, json, number, one_of, refers, text, valid

__all__ = ["Context", "Delivery", "Message"]


class Context(Table, table=True):
    """What all agents of a project share: a key, its value and its version."""

    __tablename__: ClassVar[Any] = "context"
    __table_args__ = (*valid("value"), PAIRED)
    project_id: int = refers("project.id", primary_key=True)
    key: str = text(primary_key=True)
    value: str = json()
    version: int
    agent_id: int | None = refers("agent.id", optional=True)
    updated_at: int


class Message(Table, table=True):
    """What one agent told others."""

    __tablename__: ClassVar[Any] = "message"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 0 AND 3"),
        *valid("details", "flags"),
        UniqueConstraint("sender_id", "key"),
        Index("message_thread", "project_id", "thread"),
        Index("message_reply", "reply_to", sqlite_where=sql("reply_to IS NOT NULL")),
        Index("message_open", "project_id", "id", sqlite_where=sql("broadcast = 1")),
        KEYED,
    )
    id: int | None = number()
    uid: str = text(unique=True)
    project_id: int = refers("project.id")
    sender_id: int = refers("agent.id")
    session_id: int | None = refers("session.id", optional=True)
    thread: str = text()
    reply_to: int | None = refers("message.id", optional=True)
    task: str | None = text(None)
    type: str = text("context")
    priority: int = 1
    subject: str = text("")
    body: str = text()
    details: str = json()
    flags: str = json("[]")
    broadcast: int = 0
    ack: int = 0
    key: str | None = text(None)
    created_at: int
    expires_at: int | None = None


class Delivery(Table, table=True):
    """A message at one of those whom it is for; ``attempts``, which only grows, is the fence of the present claim.

    Priority and expiry are those of the message, repeated here so that one index finds what is next.
    """

    __tablename__: ClassVar[Any] = "delivery"
    __table_args__ = (
        one_of("state", "unread", "claimed", "acked", "dead"),
        Index(
            "delivery_open",
            "agent_id",
            sql("priority DESC"),
            "message_id",
            sqlite_where=sql("state IN ('unread', 'claimed')"),
        ),
        Index("delivery_message", "message_id"),
        PAIRED,
    )
    agent_id: int = refers("agent.id", primary_key=True)
    message_id: int = refers("message.id", primary_key=True, ondelete="CASCADE")
    priority: int = 1
    expires_at: int | None = None
    state: str = text("unread")
    claimed_by: str = text("")
    lease_until: int | None = None
    not_before: int = 0
    attempts: int = 0
    note: str = text("")
    read_at: int | None = None
    acked_at: int | None = None
