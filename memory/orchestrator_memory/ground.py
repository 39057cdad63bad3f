"""What the parts of the memory stand on: one database, one project, one clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import select

from orchestrator_memory.compiled import Statement, add, of, p
from orchestrator_memory.door import Door
from orchestrator_memory.errors import NotFound, ReadOnly
from orchestrator_memory.names import agent_name
from orchestrator_memory.room import Writing
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Event, Session

__all__ = ["Ground"]

AGENTS = of(Agent).c
OF_AGENT = Statement(select(AGENTS.id).where(AGENTS.project_id == p("project"), AGENTS.name == p("name")))
OF_SESSION = Statement(select(of(Session).c.id).where(of(Session).c.uid == p("uid")))
WHO = Statement(
    select(
        select(AGENTS.id).where(AGENTS.project_id == p("project"), AGENTS.name == p("name")).scalar_subquery(),
        select(of(Session).c.id).where(of(Session).c.uid == p("uid")).scalar_subquery(),
    )
)
NAMES = Statement(select(AGENTS.name).where(AGENTS.project_id == p("project")))


class Ground:
    """A project in a database."""

    def __init__(self, door: Door, project: int, slug: str, clock: Callable[[], int], *, read_only: bool) -> None:
        """Stand on a database that is open and has the project."""
        self.door, self.project, self.slug, self.clock, self.read_only = door, project, slug, clock, read_only
        self._one = threading.local()

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the write transaction; nothing in it may wait for anything.

        Raises:
            ReadOnly: a newer version of the program wrote the database.
            Unavailable: it cannot be written: a full disk, no permission (also when the block ends).

        """
        held: sqlite3.Connection | None = getattr(self._one, "held", None)
        if held is not None:
            return nullcontext(held)
        if self.read_only:
            place = f"{self.door.path} was written by a newer version of the program and is only read."
            raise ReadOnly(f"{place} Use that version to write.")
        return Writing(self.door, wait=True)

    @contextmanager
    def together(self) -> Generator[None]:
        """Make one transaction of all that this thread writes in the block; what it reads is what was before."""
        with self.write() as db:
            outer, self._one.held = getattr(self._one, "held", None), db
            try:
                yield
            finally:
                self._one.held = outer

    def read(self) -> sqlite3.Connection:
        """Return this thread's connection for reading."""
        return self.door.read()

    def agent(self, db: sqlite3.Connection, name: str, field: str = "agent") -> int:
        """Return the number of an agent that is known.

        Raises:
            NotFound: there is none of that name.

        """
        wanted = agent_name(name, field)
        row = OF_AGENT(db, project=self.project, name=wanted).fetchone()
        if row is None:
            known = [one[0] for one in NAMES(db, project=self.project)]
            raise NotFound("agent", wanted, known, then="An agent is known once it has spoken.")
        return int(row[0])

    def met(self, db: sqlite3.Connection, name: str, field: str = "agent") -> int:
        """Return the number of an agent, who becomes known by it."""
        wanted = agent_name(name, field)
        row = OF_AGENT(db, project=self.project, name=wanted).fetchone()
        if row is not None:
            return int(row[0])
        at = self.clock()
        return add(db, Agent, project_id=self.project, name=wanted, created_at=at, seen_at=at)

    def session(self, db: sqlite3.Connection, uid: str | None) -> int | None:
        """Return the number of a session, if there is one."""
        row = None if uid is None else OF_SESSION(db, uid=uid).fetchone()
        return None if row is None else int(row[0])

    def who(self, db: sqlite3.Connection, name: str | None, session: str | None) -> tuple[int | None, int | None]:
        """Return the numbers of an agent, who becomes known by it, and of a session, if there is one."""
        wanted = None if name is None else agent_name(name)
        agent, spoken = WHO(db, project=self.project, name=wanted, uid=session).fetchone()
        return (self.met(db, wanted) if wanted and agent is None else agent), spoken

    def note(
        self,
        db: sqlite3.Connection,
        subject: str,
        operation: str,
        *,
        agent: int | None = None,
        session: int | None = None,
        version: int = 1,
        change: str = "{}",
    ) -> None:
        """Write down who changed what."""
        about: dict[str, Any] = {"agent_id": agent, "session_id": session, "version": version, "change": change}
        add(db, Event, project_id=self.project, subject=subject, operation=operation, at=self.clock(), **about)
