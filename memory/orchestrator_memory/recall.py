"""What is known about something: the memories that answer questions, best first, within a budget."""

from __future__ import annotations

import json
import math
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
from orchestrator_memory.ranking import PARTS, Term, matched, ranked, weighed, why
from orchestrator_memory.reading import M, memories, value
from orchestrator_memory.values import Hit, Kind, Recalled
from orchestrator_memory.vectors import POOL, Embedder, Vectors
from orchestrator_memory.writing import chosen

__all__ = ["MOST", "Recall", "Wanted", "kinds_of"]

MOST = 200
"""Memories that are returned at once."""
QUERIES = 8
TOKENS = 100_000
EVEN = 60
"""How little the first ranks differ when orders are fused; the constant of the method's authors."""
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

    def __init__(self, ground: Ground, vectors: Vectors) -> None:
        """Read a database, and what is near in meaning where an embedder is supplied."""
        self._ground, self._plan, self._vectors = ground, Plan(ground), vectors

    def __call__(
        self, queries: Sequence[str], wanted: Wanted, *, most: int, tokens: int, embedder: Embedder | None
    ) -> Recalled:
        """Return what answers the queries; see `ranking` for the score, and `_fused` for that with an embedder."""
        if not 1 <= len(queries) <= QUERIES:
            raise Refused("queries", f"has {len(queries)} texts.", then=f"Give 1 to {QUERIES}.")
        number("most", most, 1, MOST)
        number("tokens", tokens, 1, TOKENS)
        number("trust", wanted.trust, 0, 3)
        given = self._given(wanted)
        asked = self._plan(queries)
        best = self._ranked(asked, given, most if embedder is None else POOL)
        if embedder is not None:
            best = self._fused(best, self._vectors.near(embedder, queries), given)[:most]
        listed = json.dumps([one["id"] for one in best])
        rows = WHOLE(self._ground.door.near(), ids=listed).fetchall()
        whole = {row["id"]: value(row) for row in rows}
        found = [(one, whole[one["id"]]) for one in best if one["id"] in whole]
        texts = fitted([f"{memory.title}\n{memory.body}".strip() for _, memory in found], tokens)
        hits = [
            Hit.made(
                {
                    "memory": memory,
                    "score": one["score"],
                    "parts": {name: one[name] for name in PARTS if name in one},
                    "why": why(matched(asked, one["terms"]), memory, given["now"]),
                    "text": text,
                }
            )
            for (one, memory), text in zip(found, texts, strict=False)
        ]
        size = sum(len(text.encode()) for text in texts)
        return Recalled.made({"hits": hits, "left": len(found) - len(hits), "tokens": counted(size)})

    def _ranked(self, asked: Sequence[Term], given: dict[str, Any], most: int) -> list[dict[str, Any]]:
        """Return what has the terms, best first, with the parts of each score."""
        if not asked:
            return []
        listed = json.dumps([[one.match, one.weight] for one in asked])
        rows = self._ground.door.near().execute(ranked(given), {"terms": listed, "most": most, **given})
        return [dict(row) for row in rows.fetchall()]

    def _fused(
        self, worded: Sequence[dict[str, Any]], near: dict[int, float], given: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return what has the words or is near in meaning, best first.

        In place of ``text`` and ``breadth`` there is ``fused``: the sum of 1 / (60 + rank) over both orders (Cormack,
        Clarke & Buettcher, "Reciprocal rank fusion outperforms Condorcet", 2009).
        """
        listed = {"listed": json.dumps(list(near)), "most": len(near), **given}
        rows = {row["id"]: dict(row) for row in self._ground.read().execute(weighed(given), listed).fetchall()}
        rows |= {one["id"]: one for one in worded}
        said = sorted(worded, key=lambda one: (-one["text"] * one["breadth"], -one["id"]))
        orders = [[one["id"] for one in said], [one for one in near if one in rows]]
        for one in rows.values():
            del one["text"], one["breadth"]
            one["fused"] = 0.0
        for order in orders:
            for rank, which in enumerate(order, start=1):
                rows[which]["fused"] += 1 / (EVEN + rank)
        for one in rows.values():
            one["score"] = math.prod(one[name] for name in PARTS if name in one)
        return sorted(rows.values(), key=lambda one: (-one["score"], -one["id"]))

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
            "superseded": wanted.superseded,
            "trust": wanted.trust or None,
        }


def kinds_of(kinds: Sequence[str]) -> str | None:
    """Return kinds of memories as a statement takes them; none: all.

    Raises:
        Refused: one of them is no kind.

    """
    for one in kinds:
        chosen("kinds", one, get_args(Kind))
    return json.dumps(list(kinds)) if kinds else None
