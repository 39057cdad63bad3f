"""Nearness in meaning, where somebody supplies the embedder: an extra that recall does without by itself.

Vectors are kept as half-precision floats, little-endian, of length 1. The nearest are found in two steps without any
library: by how many signs agree with those of the question, a number that Python counts in one operation, and of the
best of these by the cosine (Charikar, "Similarity estimation techniques from rounding algorithms", 2002).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from heapq import nlargest
from operator import mul
from typing import Protocol

from sqlalchemy import delete, func, or_, select

from orchestrator_memory.compiled import Statement, add, among, of, p
from orchestrator_memory.errors import Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Memory, Vector

__all__ = ["BATCH", "POOL", "Embedder", "Vectors"]

BATCH = 64
"""Texts that are embedded at once."""
POOL = 100
"""Memories that are near enough to be weighed."""
LOOKED_AT = 400
"""Vectors whose cosine is computed, of those whose signs agree most."""
SIGN = 0x80
DIGITS = bytes(ord("1") if one & SIGN else ord("0") for one in range(256))
"""For each byte of a number, the digit of its sign."""

M, V = of(Memory).c, of(Vector).c
OWN = of(Vector).join(of(Memory), V.memory_id == M.id)
MODELS = Statement(
    select(V.model, V.dimensions, func.count().label("count"))
    .select_from(OWN)
    .where(M.project_id == p("project"))
    .group_by(V.model, V.dimensions)
    .order_by(V.model)
)
MISSING = Statement(
    select(M.id, M.title, M.body)
    .select_from(of(Memory).outerjoin(of(Vector), (V.memory_id == M.id) & (V.model == p("model"))))
    .where(
        M.project_id == p("project"),
        M.valid_to.is_(None),
        V.memory_id.is_(None),
        or_(M.expires_at.is_(None), M.expires_at > p("now")),
        M.id > p("after"),
    )
    .order_by(M.id)
    .limit(p("most"))
)
THERE = Statement(select(func.count()).select_from(of(Memory)).where(M.id == p("id"), M.project_id == p("project")))
KEPT = Statement(select(V.model).where(V.memory_id == p("id"), V.model == p("model")))
SIGNS = Statement(
    select(V.memory_id, V.vector)
    .select_from(OWN)
    .where(M.project_id == p("project"), V.model == p("model"), V.memory_id > p("after"))
    .order_by(V.memory_id)
)
EXACT = Statement(select(V.memory_id, V.vector).where(V.model == p("model"), among(V.memory_id, "ids")))
DROP = Statement(delete(of(Vector)).where(V.memory_id.in_(select(M.id).where(M.project_id == p("project")))))


class Embedder(Protocol):
    """Makes vectors of texts; ``name`` tells one from all others, as vectors of two cannot be compared."""

    @property
    def name(self) -> str:
        """The name of the model, with its version."""
        ...

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        ...

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text."""
        ...


class Vectors:
    """The vectors of a project's memories; all of one embedder."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database; signs that were read are kept in the process."""
        self._ground = ground
        self._signs: dict[str, dict[int, int]] = {}

    def embed_missing(self, embedder: Embedder, *, most: int = 100_000, replace: bool = False) -> int:
        """Make vectors of the memories that have none yet, and return of how many.

        The embedder works outside of any transaction. With ``replace``, those of another one are dropped.

        Raises:
            Refused: there are vectors of another embedder, or it returns something else than it should.

        """
        self._agree(embedder, replace=replace)
        done, after = 0, 0
        while done < most:
            given = {"project": self._ground.project, "model": embedder.name, "now": self._ground.clock()}
            size = min(BATCH, most - done)
            rows = MISSING(self._ground.read(), **given, after=after, most=size).fetchall()
            if not rows:
                break
            made = self._made(embedder, [f"{row['title']}\n{row['body']}".strip() for row in rows])
            with self._ground.write() as db:
                self._keep(db, embedder, dict(zip((row["id"] for row in rows), made, strict=True)))
            done, after = done + len(rows), rows[-1]["id"]
        return done

    def near(self, embedder: Embedder, texts: Sequence[str]) -> dict[int, float]:
        """Return the memories that are nearest to one of the texts, each with its cosine, the nearest first.

        Raises:
            Refused: the vectors are of another embedder, or there are none.

        """
        count = self._agree(embedder)
        if not count:
            raise Refused("embedder", "has made no vectors yet.", then="Call embed_missing(embedder) first.")
        wanted = [struct.unpack(f"<{embedder.dimensions}e", one) for one in self._made(embedder, list(texts))]
        db = self._ground.read()
        signs, every = self._read(db, embedder.name, count), (1 << embedder.dimensions) - 1
        likely: set[int] = set()
        for vector in wanted:
            own = every ^ _signs(struct.pack(f"<{embedder.dimensions}e", *vector))
            likely.update(nlargest(LOOKED_AT, signs, key=lambda one, own=own: (signs[one] ^ own).bit_count()))
        found: dict[int, float] = {}
        for row in EXACT(db, model=embedder.name, ids=json.dumps(sorted(likely))):
            vector = struct.unpack(f"<{embedder.dimensions}e", row["vector"])
            found[row["memory_id"]] = max(sum(map(mul, vector, one)) for one in wanted)
        return dict(sorted(found.items(), key=lambda one: (-one[1], -one[0]))[:POOL])

    # Inside ----------------------------------------------------------------------------------------------------------

    def _agree(self, embedder: Embedder, *, replace: bool = False) -> int:
        """Return how many vectors there are of an embedder."""
        rows = MODELS(self._ground.read(), project=self._ground.project).fetchall()
        own = (embedder.name, embedder.dimensions)
        other = [row["model"] for row in rows if (row["model"], row["dimensions"]) != own]
        if other and replace:
            with self._ground.write() as db:
                DROP(db, project=self._ground.project)
            self._signs.clear()
            return 0
        if other:
            then = "Use that one, or embed everything anew: embed_missing(embedder, replace=True)."
            raise Refused("embedder", f"is {own}; there are vectors of {other[0]!r}.", then=then)
        return sum(row["count"] for row in rows)

    def _made(self, embedder: Embedder, texts: list[str]) -> list[bytes]:
        vectors = embedder.embed(texts)
        if len(vectors) != len(texts):
            raise Refused("embedder", f"made {len(vectors)} vectors of {len(texts)} texts.")
        return [self._packed(embedder, one) for one in vectors]

    def _packed(self, embedder: Embedder, vector: Sequence[float]) -> bytes:
        size = math.sqrt(math.fsum(one * one for one in vector))
        if len(vector) != embedder.dimensions or not math.isfinite(size):
            problem = f"made a vector of {len(vector)} numbers, not of {embedder.dimensions} finite ones."
            raise Refused("embedder", problem)
        return struct.pack(f"<{embedder.dimensions}e", *(one / (size or 1.0) for one in vector))

    def _keep(self, db: sqlite3.Connection, embedder: Embedder, made: dict[int, bytes]) -> None:
        """Write vectors of memories that are still there, and of which nobody else has written one meanwhile."""
        for number, vector in made.items():
            there = THERE(db, id=number, project=self._ground.project).fetchone()[0]
            if there and KEPT(db, id=number, model=embedder.name).fetchone() is None:
                about = {"model": embedder.name, "dimensions": embedder.dimensions}
                add(db, Vector, memory_id=number, vector=vector, **about)

    def _read(self, db: sqlite3.Connection, model: str, count: int) -> dict[int, int]:
        """Return the signs of all vectors; only those of new memories are read, unless others came or went."""
        known = self._signs.get(model, {})
        for start in (known, {}):
            asked = {"project": self._ground.project, "model": model, "after": max(start, default=0)}
            known = start | {row["memory_id"]: _signs(row["vector"]) for row in SIGNS(db, **asked)}
            if len(known) == count:
                break
        self._signs[model] = known
        return known


def _signs(vector: bytes) -> int:
    """Return the signs of half-precision floats as the bits of a number: the first bit of each second byte."""
    return int(vector[1::2].translate(DIGITS), 2)
