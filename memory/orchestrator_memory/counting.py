"""How much there is of everything in a project."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, select

from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.ground import Ground
from orchestrator_memory.tables import Agent, Context, Delivery, Memory, Message, Reservation, Task
from orchestrator_memory.values import Stats

__all__ = ["stats"]

M, D, R = of(Memory).c, of(Delivery).c, of(Reservation).c


def _by(column: ColumnElement[Any], *where: ColumnElement[bool]) -> Statement:
    return Statement(select(column, func.count()).where(*where).group_by(column).order_by(column))


def _all(table: Any, *where: ColumnElement[bool]) -> Statement:  # noqa: ANN401 - a table's class
    return Statement(select(func.count()).select_from(of(table)).where(of(table).c.project_id == p("project"), *where))


MEMORIES = _by(
    M.kind,
    M.project_id == p("project"),
    M.valid_to.is_(None),
    M.expires_at.is_(None) | (M.expires_at > p("now")),
)
TASKS = _by(of(Task).c.outcome, of(Task).c.project_id == p("project"))
MESSAGES = _by(D.state, D.message_id == of(Message).c.id, of(Message).c.project_id == p("project"))
AGENTS = _all(Agent, of(Agent).c.retired_at.is_(None))
KEYS = _all(Context)
RESERVED = _all(Reservation, R.released_at.is_(None), R.expires_at > p("now"))


def stats(ground: Ground) -> Stats:
    """Return how much there is now: agents that have not retired, memories that hold, reservations that are open."""
    db, about = ground.read(), {"project": ground.project}
    timed = about | {"now": ground.clock()}
    pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return Stats(
        project=ground.slug,
        agents=AGENTS(db, **about).fetchone()[0],
        memories={row[0]: row[1] for row in MEMORIES(db, **timed)},
        tasks={row[0]: row[1] for row in TASKS(db, **about)},
        messages={row[0]: row[1] for row in MESSAGES(db, **about)},
        context=KEYS(db, **about).fetchone()[0],
        reservations=RESERVED(db, **timed).fetchone()[0],
        bytes=pages * size,
    )
