"""Who is there: projects, sessions and agents; and what there is to know about the file."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import UniqueConstraint

from orchestrator_memory.tables.fields import KEYED, PAIRED, Table, number, refers, text

__all__ = ["Agent", "Meta", "Project", "Session"]


class Meta(Table, table=True):
    """What there is to know about the file itself."""

    __tablename__: ClassVar[Any] = "meta"
    __table_args__ = (PAIRED,)
    key: str = text(primary_key=True)
    value: str = text()


class Project(Table, table=True):
    """A project; nothing is seen from one in another."""

    __tablename__: ClassVar[Any] = "project"
    __table_args__ = (KEYED,)
    id: int | None = number()
    slug: str = text(unique=True)
    created_at: int


class Session(Table, table=True):
    """A client that is connected, or was."""

    __tablename__: ClassVar[Any] = "session"
    __table_args__ = (KEYED,)
    id: int | None = number()
    uid: str = text(unique=True)
    project_id: int = refers("project.id")
    client: str = text("")
    started_at: int
    seen_at: int
    ended_at: int | None = None


class Agent(Table, table=True):
    """Somebody who works in a project; ``session_id`` is the session that speaks in its name."""

    __tablename__: ClassVar[Any] = "agent"
    __table_args__ = (UniqueConstraint("project_id", "name"), KEYED)
    id: int | None = number()
    project_id: int = refers("project.id")
    name: str = text()
    role: str = text("")
    session_id: int | None = refers("session.id", optional=True)
    heard: int = 0
    """The last broadcast that its inbox was filled with."""
    created_at: int
    seen_at: int
    retired_at: int | None = None
