"""The tables of the memory: these classes are the one place where the schema is written.

Times are integer microseconds UTC, JSON is text that SQLite has checked. ``id`` stays inside (it is never used again,
and orders rows by age); ``uid`` is what the outside knows a row by. `schema` makes the database of them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import REAL, CheckConstraint, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

__all__ = [
    "Agent",
    "Collaboration",
    "Context",
    "Delegation",
    "Delivery",
    "Event",
    "Link",
    "Memory",
    "Message",
    "Meta",
    "Project",
    "Reservation",
    "Session",
    "Table",
    "Task",
    "Vector",
]

KEYED: dict[str, Any] = {"sqlite_strict": True, "sqlite_autoincrement": True}
PAIRED: dict[str, Any] = {"sqlite_strict": True, "sqlite_with_rowid": False}


class Table(SQLModel, registry=registry()):
    """A table of the memory, in a registry of its own."""


def _id() -> Any:  # noqa: ANN401 - a field
    return Field(default=None, primary_key=True)


def _text(default: Any = ..., **how: Any) -> Any:  # noqa: ANN401 - a field
    return Field(default, sa_type=Text, **how)


def _json(default: str = "{}") -> Any:  # noqa: ANN401 - a field
    return Field(default, sa_type=Text)


def _refers(target: str, *, optional: bool = False, **how: Any) -> Any:  # noqa: ANN401 - a field
    return Field(default=None if optional else ..., foreign_key=target, **how)


def _one_of(column: str, *values: str) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})")


def _valid(*columns: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"json_valid({one})") for one in columns]


class Meta(Table, table=True):
    """What there is to know about the file itself."""

    __tablename__: ClassVar[Any] = "meta"
    __table_args__ = (PAIRED,)
    key: str = _text(primary_key=True)
    value: str = _text()


class Project(Table, table=True):
    """A project; nothing is seen from one in another."""

    __tablename__: ClassVar[Any] = "project"
    __table_args__ = (KEYED,)
    id: int | None = _id()
    slug: str = _text(unique=True)
    created_at: int


class Session(Table, table=True):
    """A client that is connected, or was."""

    __tablename__: ClassVar[Any] = "session"
    __table_args__ = (KEYED,)
    id: int | None = _id()
    uid: str = _text(unique=True)
    project_id: int = _refers("project.id")
    client: str = _text("")
    started_at: int
    seen_at: int
    ended_at: int | None = None


class Agent(Table, table=True):
    """Somebody who works in a project; ``session_id`` is the session that speaks in its name."""

    __tablename__: ClassVar[Any] = "agent"
    __table_args__ = (UniqueConstraint("project_id", "name"), KEYED)
    id: int | None = _id()
    project_id: int = _refers("project.id")
    name: str = _text()
    role: str = _text("")
    session_id: int | None = _refers("session.id", optional=True)
    heard: int = 0
    """The last broadcast that its inbox was filled with."""
    created_at: int
    seen_at: int
    retired_at: int | None = None


class Memory(Table, table=True):
    """Something worth knowing later."""

    __tablename__: ClassVar[Any] = "memory"
    __table_args__ = (
        _one_of("kind", "insight", "pattern", "decision", "fact", "baseline", "lesson", "note"),
        _one_of("impact", "low", "medium", "high", "critical"),
        _one_of("origin", "agent", "user", "tool", "run", "import"),
        CheckConstraint("trust BETWEEN 0 AND 3"),
        CheckConstraint("importance BETWEEN 0 AND 1"),
        CheckConstraint("confidence BETWEEN 0 AND 1"),
        *_valid("data", "tags", "evidence", "flags"),
        Index(
            "memory_once",
            "project_id",
            text("ifnull(agent_id, 0)"),
            "kind",
            "digest",
            unique=True,
            sqlite_where=text("valid_to IS NULL"),
        ),
        Index("memory_kind", "project_id", "kind", "created_at"),
        Index("memory_agent", "project_id", "agent_id", "created_at"),
        Index("memory_expires", "expires_at", sqlite_where=text("expires_at IS NOT NULL")),
        Index("memory_run", "run", sqlite_where=text("run IS NOT NULL")),
        Index("memory_superseded", "superseded_by", sqlite_where=text("superseded_by IS NOT NULL")),
        KEYED,
    )
    id: int | None = _id()
    uid: str = _text(unique=True)
    project_id: int = _refers("project.id")
    agent_id: int | None = _refers("agent.id", optional=True)
    session_id: int | None = _refers("session.id", optional=True)
    run: str | None = _text(None)
    kind: str = _text()
    area: str = _text("")
    title: str = _text("")
    body: str = _text()
    words: str = _text("")
    """Tags and other names, which are searched and not shown."""
    data: str = _json()
    tags: str = _json("[]")
    impact: str | None = _text(None)
    importance: float = Field(0.5, sa_type=REAL)
    confidence: float | None = Field(None, sa_type=REAL)
    origin: str = _text("agent")
    trust: int = 1
    source: str = _text("")
    evidence: str = _json()
    flags: str = _json("[]")
    digest: bytes = Field(sa_type=LargeBinary)
    created_at: int
    updated_at: int
    valid_from: int
    valid_to: int | None = None
    superseded_by: int | None = _refers("memory.id", optional=True)
    expires_at: int | None = None
    pinned: int = 0
    times: int = 1
    """How often it was written."""
    used: int = 0
    used_at: int | None = None
    helpful: int = 0
    harmful: int = 0
    version: int = 1


class Vector(Table, table=True):
    """What an embedder made of a memory: half-precision floats, little-endian."""

    __tablename__: ClassVar[Any] = "memory_vector"
    __table_args__ = (PAIRED,)
    memory_id: int = _refers("memory.id", primary_key=True, ondelete="CASCADE")
    model: str = _text(primary_key=True)
    dimensions: int
    vector: bytes = Field(sa_type=LargeBinary)


class Link(Table, table=True):
    """How one memory stands to another."""

    __tablename__: ClassVar[Any] = "link"
    __table_args__ = (_one_of("relation", "supports", "contradicts", "supersedes", "derived_from", "about"), PAIRED)
    source_id: int = _refers("memory.id", primary_key=True, ondelete="CASCADE")
    target_id: int = _refers("memory.id", primary_key=True, ondelete="CASCADE")
    relation: str = _text(primary_key=True)
    created_at: int


class Event(Table, table=True):
    """Who changed what, and how: of memories and of the shared context."""

    __tablename__: ClassVar[Any] = "event"
    __table_args__ = (*_valid("change"), Index("event_subject", "project_id", "subject", "id"), KEYED)
    id: int | None = _id()
    project_id: int = _refers("project.id")
    subject: str = _text()
    """``memory:UID`` or ``context:KEY``."""
    operation: str = _text()
    agent_id: int | None = _refers("agent.id", optional=True)
    session_id: int | None = _refers("session.id", optional=True)
    version: int
    change: str = _json()
    at: int


class Task(Table, table=True):
    """Something that an agent, or a run, does or did."""

    __tablename__: ClassVar[Any] = "task"
    __table_args__ = (
        _one_of("outcome", "running", "success", "partial", "failure", "cancelled"),
        CheckConstraint("progress BETWEEN 0 AND 1"),
        *_valid("insights", "data"),
        UniqueConstraint("project_id", "agent_id", "key"),
        Index("task_agent", "project_id", "agent_id", "started_at"),
        Index("task_time", "project_id", "started_at"),
        Index("task_run", "run", sqlite_where=text("run IS NOT NULL")),
        Index("task_parent", "parent_id", sqlite_where=text("parent_id IS NOT NULL")),
        KEYED,
    )
    id: int | None = _id()
    uid: str = _text(unique=True)
    project_id: int = _refers("project.id")
    agent_id: int = _refers("agent.id")
    session_id: int | None = _refers("session.id", optional=True)
    parent_id: int | None = _refers("task.id", optional=True)
    key: str | None = _text(None)
    description: str = _text()
    type: str = _text("")
    workflow: str = _text("")
    phase: str = _text("")
    run: str | None = _text(None)
    outcome: str = _text("running")
    progress: float = Field(0.0, sa_type=REAL)
    note: str = _text("")
    insights: str = _json("[]")
    data: str = _json()
    tokens_in: int = 0
    tokens_out: int = 0
    started_at: int
    updated_at: int
    ended_at: int | None = None
    version: int = 1


class Delegation(Table, table=True):
    """A part of a task that was given to another agent."""

    __tablename__: ClassVar[Any] = "delegation"
    __table_args__ = (
        _one_of("outcome", "open", "success", "partial", "failure", "cancelled"),
        Index("delegation_child", "child_task_id", sqlite_where=text("child_task_id IS NOT NULL")),
        PAIRED,
    )
    task_id: int = _refers("task.id", primary_key=True, ondelete="CASCADE")
    number: int = Field(primary_key=True)
    to_agent_id: int = _refers("agent.id")
    type: str = _text("")
    reason: str = _text("")
    outcome: str = _text("open")
    note: str = _text("")
    child_task_id: int | None = _refers("task.id", optional=True)
    created_at: int
    settled_at: int | None = None


class Collaboration(Table, table=True):
    """How often one agent worked with another on a kind of task, and how often it went well: counts, never rates."""

    __tablename__: ClassVar[Any] = "collaboration"
    __table_args__ = (CheckConstraint("successes BETWEEN 0 AND attempts"), PAIRED)
    agent_id: int = _refers("agent.id", primary_key=True)
    other_id: int = _refers("agent.id", primary_key=True)
    type: str = _text(primary_key=True)
    attempts: int = 0
    successes: int = 0
    micros: int = 0
    """The time of all attempts together."""
    last_at: int


class Context(Table, table=True):
    """What all agents of a project share: a key, its value and its version."""

    __tablename__: ClassVar[Any] = "context"
    __table_args__ = (*_valid("value"), PAIRED)
    project_id: int = _refers("project.id", primary_key=True)
    key: str = _text(primary_key=True)
    value: str = _json()
    version: int
    agent_id: int | None = _refers("agent.id", optional=True)
    updated_at: int


class Message(Table, table=True):
    """What one agent told others."""

    __tablename__: ClassVar[Any] = "message"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 0 AND 3"),
        *_valid("details", "flags"),
        UniqueConstraint("sender_id", "key"),
        Index("message_thread", "project_id", "thread"),
        Index("message_reply", "reply_to", sqlite_where=text("reply_to IS NOT NULL")),
        Index("message_open", "project_id", "id", sqlite_where=text("broadcast = 1")),
        KEYED,
    )
    id: int | None = _id()
    uid: str = _text(unique=True)
    project_id: int = _refers("project.id")
    sender_id: int = _refers("agent.id")
    session_id: int | None = _refers("session.id", optional=True)
    thread: str = _text()
    reply_to: int | None = _refers("message.id", optional=True)
    task: str | None = _text(None)
    type: str = _text("context")
    priority: int = 1
    subject: str = _text("")
    body: str = _text()
    details: str = _json()
    flags: str = _json("[]")
    broadcast: int = 0
    ack: int = 0
    key: str | None = _text(None)
    created_at: int
    expires_at: int | None = None


class Delivery(Table, table=True):
    """A message at one of those whom it is for; ``attempts``, which only grows, is the fence of the present claim.

    Priority and expiry are those of the message, repeated here so that one index finds what is next.
    """

    __tablename__: ClassVar[Any] = "delivery"
    __table_args__ = (
        _one_of("state", "unread", "claimed", "acked", "dead"),
        Index(
            "delivery_open",
            "agent_id",
            text("priority DESC"),
            "message_id",
            sqlite_where=text("state IN ('unread', 'claimed')"),
        ),
        Index("delivery_message", "message_id"),
        PAIRED,
    )
    agent_id: int = _refers("agent.id", primary_key=True)
    message_id: int = _refers("message.id", primary_key=True, ondelete="CASCADE")
    priority: int = 1
    expires_at: int | None = None
    state: str = _text("unread")
    claimed_by: str = _text("")
    lease_until: int | None = None
    not_before: int = 0
    attempts: int = 0
    note: str = _text("")
    read_at: int | None = None
    acked_at: int | None = None


class Reservation(Table, table=True):
    """A claim on a resource until a time; its ``id``, which only grows, is the fence."""

    __tablename__: ClassVar[Any] = "reservation"
    __table_args__ = (
        _one_of("mode", "shared", "exclusive"),
        Index("reservation_open", "project_id", "resource", sqlite_where=text("released_at IS NULL")),
        KEYED,
    )
    id: int | None = _id()
    project_id: int = _refers("project.id")
    resource: str = _text()
    mode: str = _text("exclusive")
    agent_id: int = _refers("agent.id")
    session_id: int | None = _refers("session.id", optional=True)
    reason: str = _text("")
    created_at: int
    expires_at: int
    released_at: int | None = None
