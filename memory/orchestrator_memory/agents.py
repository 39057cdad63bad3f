"""Who works in a project, and which session speaks in whose name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from orchestrator_memory.compiled import Statement, add, of, p
from orchestrator_memory.errors import Taken
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import taken
from orchestrator_memory.names import agent_name
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Session
from orchestrator_memory.values import Agent as Known

__all__ = ["ABSENT", "Agents"]

ABSENT = 60_000_000
"""Microseconds without a sign of life after which a session has lost the names that it held."""
A, S = of(Agent).c, of(Session).c
LIST = Statement(
    select(A.name, A.role, A.created_at, A.seen_at, A.retired_at, S.uid, S.seen_at.label("alive_at"), S.ended_at)
    .select_from(of(Agent).outerjoin(of(Session), A.session_id == S.id))
    .where(A.project_id == p("project"), (A.name == p("name")) | p("name").is_(None))
    .order_by(A.name)
)
BIND = Statement(
    update(of(Agent)).where(A.id == p("agent")).values(session_id=p("session"), seen_at=p("at"), retired_at=None)
)
ROLE = Statement(update(of(Agent)).where(A.id == p("agent")).values(role=p("role")))
SEEN = Statement(update(of(Session)).where(S.uid == p("uid")).values(seen_at=p("at"), ended_at=None))
END = Statement(update(of(Session)).where(S.uid == p("uid"), S.ended_at.is_(None)).values(ended_at=p("at")))
RETIRE = Statement(update(of(Agent)).where(A.id == p("agent")).values(retired_at=p("at"), session_id=None))


class Agents:
    """The agents of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground

    def register(self, name: str, *, role: str = "", session: str | None = None, client: str = "") -> Known:
        """Make an agent known; with a ``session``, that one alone speaks in its name while it is alive.

        A session may hold several names: those of the subagents of one client. It loses them when it ends, or when it
        was not `seen` for a minute.

        Raises:
            Refused: the name is none.
            Taken: another session that is alive speaks in this name.

        """
        wanted, about = agent_name(name), taken("role", role, 500, empty=True).text
        ground = self._ground
        with ground.write() as db:
            agent = ground.met(db, wanted)
            if session is not None:
                self._free(db, wanted, session)
                BIND(db, agent=agent, session=self._session(db, session, client), at=ground.clock())
            if about:
                ROLE(db, agent=agent, role=about)
            return self._known(db, wanted)[0]

    def get(self, name: str) -> Known:
        """Return an agent.

        Raises:
            NotFound: there is none of that name.

        """
        db = self._ground.read()
        self._ground.agent(db, name)
        return self._known(db, agent_name(name))[0]

    def list(self) -> list[Known]:
        """Return the agents by name, also those that have retired."""
        return self._known(self._ground.read(), None)

    def retire(self, name: str) -> None:
        """Send an agent no more broadcasts; what it did stays. It is back when it speaks again.

        Raises:
            NotFound: there is none of that name.

        """
        with self._ground.write() as db:
            RETIRE(db, agent=self._ground.agent(db, name), at=self._ground.clock())

    def seen(self, *sessions: str) -> None:
        """Note that sessions are alive."""
        with self._ground.write() as db:
            for uid in sessions:
                SEEN(db, uid=uid, at=self._ground.clock())

    def end(self, session: str) -> None:
        """Note that a session is over: its names are free."""
        with self._ground.write() as db:
            END(db, uid=session, at=self._ground.clock())

    def holder(self, name: str) -> str | None:
        """Return the session that speaks in a name now."""
        known = self._known(self._ground.read(), agent_name(name))
        return known[0].session if known else None

    # Inside ----------------------------------------------------------------------------------------------------------

    def _free(self, db: sqlite3.Connection, name: str, session: str) -> None:
        holder = self._known(db, name)[0].session
        if holder not in {None, session}:
            then = "Take another name, or wait until that session has ended (a minute after its last sign of life)."
            raise Taken(f"Another session speaks as {name!r}. {then}")

    def _session(self, db: sqlite3.Connection, uid: str, client: str) -> int:
        at = self._ground.clock()
        number = self._ground.session(db, uid)
        if number is None:
            about: dict[str, Any] = {"client": taken("client", client, 200, empty=True).text}
            return add(db, Session, uid=uid, project_id=self._ground.project, started_at=at, seen_at=at, **about)
        SEEN(db, uid=uid, at=at)
        return number

    def _known(self, db: sqlite3.Connection, name: str | None) -> list[Known]:
        rows = LIST(db, project=self._ground.project, name=name).fetchall()
        return [self._value(row) for row in rows]

    def _value(self, row: sqlite3.Row) -> Known:
        alive = row["uid"] and row["ended_at"] is None and self._ground.clock() - row["alive_at"] <= ABSENT
        return Known(
            name=row["name"],
            role=row["role"],
            session=row["uid"] if alive else None,
            created=row["created_at"],
            seen=row["seen_at"],
            retired=row["retired_at"],
        )
