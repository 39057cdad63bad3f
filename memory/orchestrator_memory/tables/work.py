"""What is done, by whom, with whom, and on what."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import REAL, CheckConstraint, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import Field

from orchestrator_memory.tables.fields import KEYED, PAIRED, Table, json, number, one_of, refers, text, valid

__all__ = ["Collaboration", "Delegation", "Reservation", "Task"]


class Task(Table, table=True):
    """Something that an agent, or a run, does or did."""

    __tablename__: ClassVar[Any] = "task"
    __table_args__ = (
        one_of("outcome", "running", "success", "partial", "failure", "cancelled"),
        CheckConstraint("progress BETWEEN 0 AND 1"),
        *valid("insights", "data"),
        UniqueConstraint("project_id", "agent_id", "key"),
        Index("task_agent", "project_id", "agent_id", "started_at"),
        Index("task_time", "project_id", "started_at"),
        Index("task_run", "run", sqlite_where=sql("run IS NOT NULL")),
        Index("task_parent", "parent_id", sqlite_where=sql("parent_id IS NOT NULL")),
        KEYED,
    )
    id: int | None = number()
    uid: str = text(unique=True)
    project_id: int = refers("project.id")
    agent_id: int = refers("agent.id")
    session_id: int | None = refers("session.id", optional=True)
    parent_id: int | None = refers("task.id", optional=True)
    key: str | None = text(None)
    description: str = text()
    type: str = text("")
    workflow: str = text("")
    phase: str = text("")
    run: str | None = text(None)
    outcome: str = text("running")
    progress: float = Field(0.0, sa_type=REAL)
    note: str = text("")
    insights: str = json("[]")
    data: str = json()
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
        one_of("outcome", "open", "success", "partial", "failure", "cancelled"),
        Index("delegation_child", "child_task_id", sqlite_where=sql("child_task_id IS NOT NULL")),
        PAIRED,
    )
    task_id: int = refers("task.id", primary_key=True, ondelete="CASCADE")
    number: int = Field(primary_key=True)
    to_agent_id: int = refers("agent.id")
    type: str = text("")
    reason: str = text("")
    outcome: str = text("open")
    note: str = text("")
    child_task_id: int | None = refers("task.id", optional=True)
    created_at: int
    settled_at: int | None = None


class Collaboration(Table, table=True):
    """How often one agent worked with another on a kind of task, and how often it went well: counts, never rates."""

    __tablename__: ClassVar[Any] = "collaboration"
    __table_args__ = (CheckConstraint("successes BETWEEN 0 AND attempts"), PAIRED)
    agent_id: int = refers("agent.id", primary_key=True)
    other_id: int = refers("agent.id", primary_key=True)
    type: str = text(primary_key=True)
    attempts: int = 0
    successes: int = 0
    micros: int = 0
    """The time of all attempts together."""
    last_at: int


class Reservation(Table, table=True):
    """A claim on a resource until a time; its ``id``, which only grows, is the fence."""

    __tablename__: ClassVar[Any] = "reservation"
    __table_args__ = (
        one_of("mode", "shared", "exclusive"),
        Index("reservation_open", "project_id", "resource", sqlite_where=sql("released_at IS NULL")),
        KEYED,
    )
    id: int | None = number()
    project_id: int = refers("project.id")
    resource: str = text()
    mode: str = text("exclusive")
    agent_id: int = refers("agent.id")
    session_id: int | None = refers("session.id", optional=True)
    reason: str = text("")
    created_at: int
    expires_at: int
    released_at: int | None = None
