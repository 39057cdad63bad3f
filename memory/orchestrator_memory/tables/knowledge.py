"""What is worth knowing, how it hangs together, and who changed it."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import REAL, CheckConstraint, Index, LargeBinary
from sqlalchemy import text as sql
from sqlmodel import Field

from orchestrator_memory.tables.fields import KEYED, PAIRED, Table, json, number, one_of, refers, text, valid

__all__ = ["Event", "Link", "Memory", "Vector"]


class Memory(Table, table=True):
    """Something worth knowing later."""

    __tablename__: ClassVar[Any] = "memory"
    __table_args__ = (
        one_of("kind", "insight", "pattern", "decision", "fact", "baseline", "lesson", "note"),
        one_of("impact", "low", "medium", "high", "critical"),
        one_of("origin", "agent", "user", "tool", "run", "import"),
        CheckConstraint("trust BETWEEN 0 AND 3"),
        CheckConstraint("importance BETWEEN 0 AND 1"),
        CheckConstraint("confidence BETWEEN 0 AND 1"),
        *valid("data", "tags", "evidence", "flags"),
        Index(
            "memory_once",
            "project_id",
            sql("ifnull(agent_id, 0)"),
            "kind",
            "digest",
            unique=True,
            sqlite_where=sql("valid_to IS NULL"),
        ),
        Index("memory_kind", "project_id", "kind", "created_at"),
        Index("memory_agent", "project_id", "agent_id", "created_at"),
        Index("memory_expires", "expires_at", sqlite_where=sql("expires_at IS NOT NULL")),
        Index("memory_run", "run", sqlite_where=sql("run IS NOT NULL")),
        Index("memory_superseded", "superseded_by", sqlite_where=sql("superseded_by IS NOT NULL")),
        KEYED,
    )
    id: int | None = number()
    uid: str = text(unique=True)
    project_id: int = refers("project.id")
    agent_id: int | None = refers("agent.id", optional=True)
    session_id: int | None = refers("session.id", optional=True)
    run: str | None = text(None)
    kind: str = text()
    area: str = text("")
    title: str = text("")
    body: str = text()
    words: str = text("")
    """Tags and other names, which are searched and not shown."""
    data: str = json()
    tags: str = json("[]")
    impact: str | None = text(None)
    importance: float = Field(0.5, sa_type=REAL)
    confidence: float | None = Field(None, sa_type=REAL)
    origin: str = text("agent")
    trust: int = 1
    source: str = text("")
    evidence: str = json()
    flags: str = json("[]")
    digest: bytes = Field(sa_type=LargeBinary)
    created_at: int
    updated_at: int
    valid_from: int
    valid_to: int | None = None
    superseded_by: int | None = refers("memory.id", optional=True)
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
    memory_id: int = refers("memory.id", primary_key=True, ondelete="CASCADE")
    model: str = text(primary_key=True)
    dimensions: int
    vector: bytes = Field(sa_type=LargeBinary)


class Link(Table, table=True):
    """How one memory stands to another."""

    __tablename__: ClassVar[Any] = "link"
    __table_args__ = (one_of("relation", "supports", "contradicts", "supersedes", "derived_from", "about"), PAIRED)
    source_id: int = refers("memory.id", primary_key=True, ondelete="CASCADE")
    target_id: int = refers("memory.id", primary_key=True, ondelete="CASCADE")
    relation: str = text(primary_key=True)
    created_at: int


class Event(Table, table=True):
    """Who changed what, and how: of memories and of the shared context."""

    __tablename__: ClassVar[Any] = "event"
    __table_args__ = (*valid("change"), Index("event_subject", "project_id", "subject", "id"), KEYED)
    id: int | None = number()
    project_id: int = refers("project.id")
    subject: str = text()
    """``memory:UID`` or ``context:KEY``."""
    operation: str = text()
    agent_id: int | None = refers("agent.id", optional=True)
    session_id: int | None = refers("session.id", optional=True)
    version: int
    change: str = json()
    at: int
