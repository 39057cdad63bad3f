"""What is known about something: the memories that answer questions, best first, within a budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from orchestrator_memory.budget import fitted
from orchestrator_memory.budget import tokens as counted
from orchestrator_memory.compiled import Statement, among
from orchestrator_memory.errors import Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.intake import number
from orchestrator_memory.plan import Plan
from orchestrator_memory.ranking import PARTS, RANKED, Term, matched, why
from orchestrator_memory.reading import M, memories, value
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.values import Hit, Kind, Memory, Recalled
from orchestrator_memory.writing import chosen

__all__ = ["MOST", "Recall", "Wanted", "kinds_of"]

MOST = 200
"""Memories that are returned at once."""
QUERIES = 8
TOKENS = 100_000
WHOLE = Statement(memories().where(among(M.id, "ids")))


@dataclass(frozen=True)
class Wanted:
    """Which memories are looked at; see `Memories.recall`."""

    kinds: Sequence[str] = ()
    agent: str | None = None
    area: str | None = None
    tags: Sequence[str] = ()
    since: int | None = None
    superseded: bool = False
    trust: int = 0


class Recall:
    """Answers questions from the memories of a project."""

    def __init__(self, ground: Ground) -> None:
        """Read a database."""
        self._ground, self._plan = ground, Plan(ground)

    def __call__(self, queries: Sequence[str], wanted: Wanted, *, most: int, tokens: int) -> Recalled:
        """Return what answers the queries; see `ranking` for the score."""
        if not 1 <= len(queries) <= QUERIES:
            raise Refused("queries", f"has {len(queries)} texts.", then=f"Give 1 to {QUERIES}.")
        number("most", most, 1, MOST)
        number("tokens", tokens, 1, TOKENS)
        number("trust", wanted.trust, 0, 3)
        given = self._given(wanted)
        asked = self._plan(queries)
        if not asked:
            return Recalled(hits=[])
        db = self._ground.read()
        now = given["now"]
        listed = json.dumps([[one.match, one.weight] for one in asked])
        ranked = db.execute(RANKED, {"terms": listed, "most": most, **given}).fetchall()
        rows = {row["id"]: row for row in WHOLE(db, ids=json.dumps([one["id"] for one in ranked])).fetchall()}
        found = [(one, value(rows[one["id"]])) for one in ranked if one["id"] in rows]
        texts = fitted([f"{memory.title}\n{memory.body}".strip() for _, memory in found], tokens)
        hits = [self._hit(row, memory, text, asked, now) for (row, memory), text in zip(found, texts, strict=False)]
        size = sum(len(text.encode()) for text in texts)
        return Recalled(hits=hits, left=len(found) - len(hits), tokens=counted(size))

    def _given(self, wanted: Wanted) -> dict[str, Any]:
        agent = wanted.agent
        return {
            "project": self._ground.project,
            "now": self._ground.clock(),
            "kinds": kinds_of(wanted.kinds),
            "agent": None if agent is None else self._ground.agent(self._ground.read(), agent),
            "area": None if wanted.area is None else wanted.area.strip().casefold(),
            "tags": json.dumps([one.strip().casefold() for one in wanted.tags]) if wanted.tags else None,
            "since": wanted.since,
            "superseded": int(wanted.superseded),
            "trust": wanted.trust,
        }

    def _hit(self, row: sqlite3.Row, memory: Memory, text: str, asked: Sequence[Term], now: int) -> Hit:
        parts = {name: row[name] for name in PARTS}
        said = why(matched(asked, row["terms"]), memory, now)
        return Hit.model_construct(memory=memory, score=row["score"], parts=parts, why=said, text=text)


def kinds_of(kinds: Sequence[str]) -> str | None:
    """Return kinds of memories as a statement takes them; none: all.

    Raises:
        Refused: one of them is no kind.

    """
    for one in kinds:
        chosen("kinds", one, get_args(Kind))
    return json.dumps(list(kinds)) if kinds else None
