"""Who may touch what for now: a dataset, an alias of a model, a place to deploy to.

A reservation ends by itself when its time is up, whatever became of its holder. So whoever acts under one `check`s its
fence just before: a fence is given once and only grows, and an old one does not pass for a new one.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from sqlalchemy import select, update

from orchestrator_memory.compiled import Statement, add, of, p
from orchestrator_memory.errors import Held, NotFound, NotYours, Refused, Stale
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import number, taken
from orchestrator_memory.moments import GREATEST, micros, spoken
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Reservation
from orchestrator_memory.values import Reservation as Reserved

__all__ = ["LONGEST", "Reservations"]

LONGEST = 7 * 86_400.0
"""The longest time in seconds."""
MODES = get_args(Reserved.model_fields["mode"].annotation)
RESOURCE = re.compile(r"\S(?:[^\n\t]{0,198}\S)?")
A, R = of(Agent).c, of(Reservation).c

KNOWN = (
    select(R.id, R.resource, R.mode, R.reason, R.created_at, R.expires_at, R.released_at, R.agent_id, A.name)
    .select_from(of(Reservation).join(of(Agent), A.id == R.agent_id))
    .where(R.project_id == p("project"))
    .order_by(R.id)
)
LIVE = KNOWN.where(R.released_at.is_(None), R.expires_at > p("at"))
OF_RESOURCE = Statement(LIVE.where(R.resource == p("resource")))
ALL = Statement(LIVE.order_by(None).order_by(R.resource, R.id))
ONE = Statement(KNOWN.where(R.id == p("fence")))
OVER = Statement(
    update(of(Reservation))
    .where(
        *(R.project_id == p("project"), R.resource == p("resource"), R.released_at.is_(None), R.expires_at <= p("at"))
    )
    .values(released_at=R.expires_at)
)
RENEW = Statement(update(of(Reservation)).where(R.id == p("fence")).values(expires_at=p("until")))
RELEASE = Statement(update(of(Reservation)).where(R.id == p("fence")).values(released_at=p("at")))


class Reservations:
    """The reservations of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground

    def reserve(
        self,
        resource: str,
        agent: str,
        *,
        mode: str = "exclusive",
        seconds: float = 300,
        reason: str = "",
        session: str | None = None,
    ) -> Reserved:
        """Reserve a resource for so many seconds: for an agent alone, or ``shared`` with others who share.

        An agent that has it already gets what it has, renewed; in another mode, a new one (with another fence) in its
        place, when the others allow it.

        Raises:
            Held: others have it in a way that excludes this.
            Refused: a field is not acceptable.

        """
        ground, wanted, span = self._ground, _resource(resource), micros("seconds", seconds, LONGEST)
        why = taken("reason", reason, 500, empty=True).text
        if mode not in MODES:
            raise Refused("mode", f"{mode!r} is none.", allowed=MODES)
        with ground.write() as db:
            holder, at = ground.met(db, agent), ground.clock()
            OVER(db, project=ground.project, resource=wanted, at=at)
            live = OF_RESOURCE(db, project=ground.project, resource=wanted, at=at).fetchall()
            own = next((row for row in live if row["agent_id"] == holder), None)
            others = [row for row in live if row["agent_id"] != holder]
            if own is not None and own["mode"] == mode:
                RENEW(db, fence=own["id"], until=at + span)
                return self._one(db, own["id"])
            if others and "exclusive" in {mode, *(row["mode"] for row in others)}:
                raise _held(wanted, others)
            if own is not None:
                RELEASE(db, fence=own["id"], at=at)
            about: dict[str, Any] = {"mode": mode, "reason": why, "session_id": ground.session(db, session)}
            about |= {"created_at": at, "expires_at": at + span, "agent_id": holder}
            return self._one(db, add(db, Reservation, project_id=ground.project, resource=wanted, **about))

    def renew(self, fence: int, seconds: float = 300, *, agent: str | None = None) -> Reserved:
        """Keep a reservation for so many seconds from now; the fence stays. With an ``agent``, only if it is its own.

        Raises:
            NotYours: another agent holds it.
            Refused: no time, or more than a week.
            Stale: it has expired or was released, or never was.

        """
        ground, span = self._ground, micros("seconds", seconds, LONGEST)
        with ground.write() as db:
            self._live(db, fence, agent)
            RENEW(db, fence=fence, until=ground.clock() + span)
            return self._one(db, fence)

    def release(self, fence: int, *, agent: str | None = None) -> bool:
        """Let a resource go, and say whether it was still held. With an ``agent``, only if it is its own.

        Raises:
            NotFound: there never was such a reservation.
            NotYours: another agent holds it.

        """
        number("fence", fence, 0, GREATEST)
        with self._ground.write() as db:
            if ONE(db, project=self._ground.project, fence=fence).fetchone() is None:
                raise NotFound("reservation", str(fence))
            try:
                self._live(db, fence, agent)
            except Stale:
                return False
            RELEASE(db, fence=fence, at=self._ground.clock())
            return True

    def check(self, resource: str, fence: int) -> Reserved:
        """Return the reservation of a resource that a fence stands for, if it still holds.

        Raises:
            Stale: it has expired or was released, or never was one of this resource.

        """
        row = self._live(self._ground.read(), fence, None)
        if row["resource"] != _resource(resource):
            raise Stale(f"Fence {fence} is of {row['resource']!r}, not of {resource!r}. Reserve {resource!r} first.")
        return _value(row)

    def holders(self, resource: str) -> list[Reserved]:
        """Return who has a resource now, the first of them first."""
        ground, wanted = self._ground, _resource(resource)
        rows = OF_RESOURCE(ground.read(), project=ground.project, resource=wanted, at=ground.clock()).fetchall()
        return [_value(row) for row in rows]

    def list(self) -> list[Reserved]:
        """Return all that is reserved now, by resource."""
        ground = self._ground
        return [_value(row) for row in ALL(ground.read(), project=ground.project, at=ground.clock())]

    # Inside ----------------------------------------------------------------------------------------------------------

    def _one(self, db: sqlite3.Connection, fence: int) -> Reserved:
        return _value(ONE(db, project=self._ground.project, fence=fence).fetchone())

    def _live(self, db: sqlite3.Connection, fence: int, agent: str | None) -> sqlite3.Row:
        number("fence", fence, 0, GREATEST)
        row = ONE(db, project=self._ground.project, fence=fence).fetchone()
        then = "Reserve again, and look at what may have changed meanwhile."
        if row is None:
            raise Stale(f"There is no reservation {fence} in this project. {then}")
        if row["released_at"] is not None and row["released_at"] < row["expires_at"]:
            raise Stale(f"Reservation {fence} of {row['resource']!r} was released. {then}")
        if row["expires_at"] <= self._ground.clock():
            raise Stale(f"Reservation {fence} of {row['resource']!r} expired at {spoken(row['expires_at'])}. {then}")
        if agent is not None and row["agent_id"] != self._ground.agent(db, agent):
            raise NotYours(f"Reservation {fence} of {row['resource']!r} is that of {row['name']!r}.")
        return row


def _resource(resource: str) -> str:
    kept = taken("resource", resource, 200).text
    if not RESOURCE.fullmatch(kept):
        raise Refused(
            "resource", f"{kept[:80]!r} is no name of a resource.", then="Use one line, such as model://name."
        )
    return kept


def _held(resource: str, rows: list[sqlite3.Row]) -> Held:
    """Return the error of who may not have a resource, because others do."""
    who = "; ".join(
        f"{row['name']!r} ({row['mode']}) until {spoken(row['expires_at'])}"
        + (f", because: {row['reason']}" if row["reason"] else "")
        for row in rows[:5]
    )
    more = f", and {len(rows) - 5} others" if len(rows) > 5 else ""  # noqa: PLR2004 - as above
    return Held(f"{resource!r} is reserved by {who}{more}. Try again then, or ask whoever has it.")


def _value(row: sqlite3.Row) -> Reserved:
    return Reserved(
        resource=row["resource"],
        mode=row["mode"],
        agent=row["name"],
        fence=row["id"],
        reason=row["reason"],
        created=row["created_at"],
        expires=row["expires_at"],
    )
