"""Who works well with whom: what was counted when delegations were settled, and what follows from the counts.

Rates are derived when they are asked for. Who is good at something is told by the lower end of the interval of Wilson
(Probable inference, the law of succession, and statistical inference, JASA 22, 1927): one success of one attempt says
little (.21), eight of ten say more (.49).
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.dialects.sqlite import insert

from orchestrator_memory.compiled import Statement, of, p
from orchestrator_memory.errors import Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.names import agent_name, word
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Agent, Collaboration, Delegation, Task
from orchestrator_memory.values import Collaborator

__all__ = ["Collaborations", "count", "wilson"]

Z = 1.959963984540054
"""The quantile of the normal distribution for an interval of 95 %."""
LONGEST = 10 * 365 * 86_400.0
"""Seconds that an attempt may have taken."""
MOST = 10**9
C, D, T = of(Collaboration).c, of(Delegation).c, of(Task).c
NAMES = ("agent_id", "other_id", "type", "attempts", "successes", "micros", "last_at")
ONE = insert(of(Collaboration)).values({name: p(name) for name in NAMES})
COUNT = Statement(
    ONE.on_conflict_do_update(
        index_elements=["agent_id", "other_id", "type"],
        set_={
            "attempts": C.attempts + ONE.excluded.attempts,
            "successes": C.successes + ONE.excluded.successes,
            "micros": C.micros + ONE.excluded.micros,
            "last_at": func.max(C.last_at, ONE.excluded.last_at),
        },
    )
)
ME, OTHER = of(Agent).alias("me"), of(Agent).alias("other_one")
BOTH = of(Collaboration).join(ME, C.agent_id == ME.c.id).join(OTHER, C.other_id == OTHER.c.id)
COUNTS = (C.attempts, C.successes, C.micros, C.last_at)
OF = Statement(
    select(ME.c.name.label("agent"), OTHER.c.name.label("other"), C.type, *COUNTS)
    .select_from(BOTH)
    .where(C.agent_id == p("agent"))
    .order_by(C.attempts.desc(), OTHER.c.name, C.type)
)
WHOM = Statement(
    select(
        OTHER.c.name.label("other"),
        *(func.sum(one).label(one.name) for one in COUNTS[:3]),
        func.max(C.last_at).label("last_at"),
    )
    .select_from(BOTH)
    .where(ME.c.project_id == p("project"), (C.type == p("type")) | (p("type") == ""))
    .group_by(C.other_id)
)
OUTCOMES = ("open", "success", "partial", "failure", "cancelled")
GIVEN = Statement(
    select(
        of(Agent).c.name,
        *(func.sum(case((D.outcome == one, 1), else_=0)).label(one) for one in OUTCOMES),
    )
    .select_from(of(Delegation).join(of(Task), D.task_id == T.id).join(of(Agent), D.to_agent_id == of(Agent).c.id))
    .where(T.project_id == p("project"), T.agent_id == p("agent"))
    .group_by(D.to_agent_id)
    .order_by(of(Agent).c.name)
)


def wilson(successes: int, attempts: int) -> float:
    """Return the lower end of Wilson's 95 % interval of a rate; 0 without attempts."""
    if not attempts:
        return 0.0
    rate, square = successes / attempts, Z * Z
    spread = Z * math.sqrt(rate * (1 - rate) / attempts + square / (4 * attempts * attempts))
    return max(0.0, (rate + square / (2 * attempts) - spread) / (1 + square / attempts))


def count(  # noqa: D103 - what `Collaborations.record` does, in a transaction that is open
    db: sqlite3.Connection, agent: int, other: int, *, won: int, kind: str, micros: int, at: int, attempts: int = 1
) -> None:
    about = {"agent_id": agent, "other_id": other, "type": kind, "last_at": at}
    COUNT(db, attempts=attempts, successes=int(won), micros=max(0, micros), **about)


class Collaborations:
    """How the agents of a project work together."""

    def __init__(self, ground: Ground) -> None:
        """Keep it in a database."""
        self._ground = ground

    def record(self, agent: str, other: str, *, success: bool, type: str = "", seconds: float = 0.0) -> None:  # noqa: A002
        """Count that ``agent`` had ``other`` do something; settling a delegation counts it by itself.

        Raises:
            Refused: a name or the kind of task is none, both are one agent, or the time is negative.

        """
        kind = _checked(agent, other, type)
        if not 0 <= seconds <= LONGEST:
            raise Refused("seconds", f"{seconds:g} is outside 0 to {LONGEST:g}.")
        with self._ground.write() as db:
            pair = self._ground.met(db, agent), self._ground.met(db, other, "other")
            count(db, *pair, won=success, kind=kind, micros=round(seconds * 1e6), at=self._ground.clock())

    def add(self, agent: str, other: str, *, attempts: int, successes: int, type: str = "") -> None:  # noqa: A002
        """Count what was counted elsewhere: that so many of ``attempts`` went well.

        Raises:
            Refused: as for `record`, or the numbers cannot be.

        """
        if not 0 <= successes <= attempts <= MOST:
            raise Refused("successes", f"{successes} of {attempts} cannot be.", then=f"Up to {MOST} are counted.")
        kind = _checked(agent, other, type)
        with self._ground.write() as db:
            pair = self._ground.met(db, agent), self._ground.met(db, other, "other")
            count(db, *pair, won=successes, kind=kind, micros=0, at=self._ground.clock(), attempts=attempts)

    def of(self, agent: str) -> list[Collaborator]:
        """Return whom an agent worked with, a row for each kind of task, the most frequent first.

        Raises:
            NotFound: there is no agent of that name.

        """
        db = self._ground.read()
        rows = OF(db, agent=self._ground.agent(db, agent)).fetchall()
        return [_value(row, row["agent"], row["type"]) for row in rows]

    def whom(self, type: str = "", most: int = 5) -> list[Collaborator]:  # noqa: A002
        """Return who is good at a kind of task (without one: at all of them), best first by ``sure``.

        What all agents counted of one is taken together; its ``agent`` is empty.
        """
        kind = word(type, "type") if type else ""
        rows = WHOM(self._ground.read(), project=self._ground.project, type=kind).fetchall()
        found = [_value(row, "", kind) for row in rows]
        return sorted(found, key=lambda one: (-one.sure, -one.attempts, one.other))[: max(0, most)]

    def effectiveness(self, agent: str) -> dict[str, dict[str, Any]]:
        """Return what became of the delegations of an agent: for each other agent, how many of each outcome.

        ``rate`` is that of the successes among those that ended and were not cancelled; None without any.

        Raises:
            NotFound: there is no agent of that name.

        """
        db = self._ground.read()
        rows = GIVEN(db, project=self._ground.project, agent=self._ground.agent(db, agent)).fetchall()
        return {row["name"]: _summary({one: int(row[one]) for one in OUTCOMES}) for row in rows}


def _checked(agent: str, other: str, kind: str) -> str:
    if agent_name(agent) == agent_name(other, "other"):
        raise Refused("other", f"{agent_name(other)!r} is the agent itself.", then="Name the one who helped.")
    return word(kind, "type") if kind else ""


def _summary(counts: dict[str, int]) -> dict[str, Any]:
    ended = counts["success"] + counts["partial"] + counts["failure"]
    rate = counts["success"] / ended if ended else None
    return {"delegations": sum(counts.values()), **counts, "rate": rate}


def _value(row: sqlite3.Row, agent: str, kind: str) -> Collaborator:
    attempts, successes = int(row["attempts"]), int(row["successes"])
    return Collaborator(
        agent=agent,
        other=row["other"],
        type=kind,
        attempts=attempts,
        successes=successes,
        rate=successes / attempts if attempts else 0.0,
        sure=wilson(successes, attempts),
        seconds=row["micros"] / attempts / 1e6 if attempts else 0.0,
        last=row["last_at"],
    )
