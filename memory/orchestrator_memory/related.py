"""Which trainings of the past were on data like these: how alike two fingerprints are, and the runs whose are alike.

A fingerprint is JSON of three parts: ``numbers`` (a number by name), ``labels`` (a text by name), ``names`` (of the
columns). Two are compared part by part, from 0 to 1, and the similarity is the mean by weight of what both have; a
part that one of them lacks is no evidence. Fingerprints of different tasks are not alike at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from pydantic import Field, ValidationError
from sqlalchemy import or_, select

from orchestrator_memory.compiled import Statement, among, of, p
from orchestrator_memory.ground import Ground
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import Memory
from orchestrator_memory.values import Value

__all__ = ["NEWEST", "Fingerprint", "RelatedRun", "RunQuery", "Similarity", "related", "similarity"]

NEWEST = 2000
"""Trainings that are compared, the newest first."""
NUMBERS: dict[str, tuple[float, float]] = {
    "rows": (1.0, 1.5),
    "classes": (1.0, 2.0),
    "columns": (0.5, 1.0),
    "numeric": (0.3, 0.5),
    "categorical": (0.3, 0.5),
    "boolean": (0.3, 0.5),
    "date": (0.3, 0.5),
    "text": (0.3, 0.5),
    "missing": (0.5, 0.3),
    "entropy": (0.5, 0.5),
    "skewness": (0.5, 3.0),
    "correlation": (0.5, 0.4),
    "linear": (2.0, 0.5),
    "tree": (2.0, 0.5),
    "near": (2.0, 0.5),
}
"""The weight of a number, and the difference from which on two are not alike at all; below, it counts in proportion."""
SHARES = frozenset({"numeric", "categorical", "boolean", "date", "text", "missing"})
"""Of these, what neither table has is no evidence."""
OTHER = 0.5
"""The weight of any other number, which is compared by its difference in proportion to the larger of the two."""
LABELS: dict[str, float] = {"schema": 1.0, "target": 0.5, "metric": 0.5}
"""The weight of a label, which is alike or not; that of any other is `MINOR`."""
MINOR = 0.25
NAMES = 2.0
"""The weight of the names: as many as both have, by as many as there are (Jaccard)."""
TASK = "task"

M = of(Memory).c
TRAININGS = Statement(
    select(M.uid, M.run, M.data, M.created_at)
    .where(
        M.project_id == p("project"),
        M.kind == "pattern",
        M.area == "training",
        M.origin == "run",
        M.run.is_not(None),
        M.valid_to.is_(None),
        or_(M.expires_at.is_(None), M.expires_at > p("now")),
        or_(p("runs").is_(None), among(M.run, "runs")),
    )
    .order_by(M.created_at.desc(), M.id.desc())
    .limit(NEWEST)
)


class Fingerprint(Value):
    """What tells whether what worked on one table will work on another."""

    numbers: dict[str, float] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    names: list[str] = Field(default_factory=list)


class Similarity(Value):
    """How alike two fingerprints are, from 0 to 1, and each part by itself."""

    score: float = Field(ge=0, le=1)
    parts: dict[str, float] = Field(default_factory=dict)


class RunQuery(Value):
    """What is asked for: the fingerprint of a table that is to be trained on, or ``runs``, exactly these."""

    fingerprint: Fingerprint
    runs: list[str] | None = None


class RelatedRun(Value):
    """A training of the past, and how alike its data are; ``created`` is in microseconds UTC.

    ``configurations`` are the best that it found, the best first; ``facts`` has all that was kept of it.
    """

    run: str
    memory: str
    similarity: Similarity
    metric: str = ""
    score: float | None = None
    configurations: list[dict[str, Any]] = Field(default_factory=list)
    facts: dict[str, Any] = Field(default_factory=dict)
    created: int


def similarity(one: Fingerprint, other: Fingerprint) -> Similarity:
    """Return how alike two fingerprints are, by the weights of this module; it is the same both ways."""
    tasks = one.labels.get(TASK), other.labels.get(TASK)
    if None not in tasks and tasks[0] != tasks[1]:
        return Similarity(score=0.0, parts={TASK: 0.0})
    parts = list(_parts(one, other))
    whole = sum(weight for _, _, weight in parts)
    if not whole:
        return Similarity(score=0.0)
    score = sum(value * weight for _, value, weight in parts) / whole
    return Similarity(score=min(1.0, score), parts={name: round(value, 4) for name, value, _ in parts})


def related(ground: Ground, query: RunQuery, most: int = 10) -> list[RelatedRun]:
    """Return the trainings of the project whose data are most like those of the query, the most alike first.

    Of the `NEWEST` ones that are valid, and of each run its latest word. Where ``query.runs`` names some, these alone
    are returned, in the order in which they are named.
    """
    asked = None if query.runs is None else json.dumps(query.runs)
    rows = TRAININGS(ground.read(), project=ground.project, now=ground.clock(), runs=asked).fetchall()
    found: dict[str, RelatedRun] = {}
    for row in rows:
        if row["run"] not in found and (one := _compared(row, query.fingerprint)) is not None:
            found[row["run"]] = one
    if query.runs is not None:
        return [found[run] for run in dict.fromkeys(query.runs) if run in found]
    alike = [one for one in found.values() if one.similarity.score > 0]
    return sorted(alike, key=lambda one: (-one.similarity.score, -one.created, one.run))[:most]


def _compared(row: sqlite3.Row, wanted: Fingerprint) -> RelatedRun | None:
    """Return a training as it was kept; None where what was kept is not what this version reads."""
    facts: dict[str, Any] = json.loads(row["data"])
    try:
        own = Fingerprint.model_validate(facts.get("fingerprint"))
        return RelatedRun(
            run=row["run"],
            memory=row["uid"],
            similarity=similarity(own, wanted),
            metric=facts.get("metric", ""),
            score=facts.get("score"),
            configurations=facts.get("configurations", []),
            facts={name: value for name, value in facts.items() if name not in {"fingerprint", "configurations"}},
            created=row["created_at"],
        )
    except ValidationError:
        return None


def _parts(one: Fingerprint, other: Fingerprint) -> Iterator[tuple[str, float, float]]:
    """Return the name of each part that both have, how alike it is, and its weight."""
    for name in sorted({*one.numbers} & {*other.numbers}):
        if name in SHARES and not one.numbers[name] and not other.numbers[name]:
            continue
        weight, scale = NUMBERS.get(name, (OTHER, 0.0))
        yield name, _close(one.numbers[name], other.numbers[name], scale), weight
    for name in sorted({*one.labels} & {*other.labels} - {TASK}):
        yield name, float(one.labels[name] == other.labels[name]), LABELS.get(name, MINOR)
    if one.names and other.names:
        mine, theirs = {*one.names}, {*other.names}
        yield "names", len(mine & theirs) / len(mine | theirs), NAMES


def _close(one: float, other: float, scale: float) -> float:
    if not (math.isfinite(one) and math.isfinite(other)):
        return float(one == other)
    apart = abs(one - other)
    far = scale or max(abs(one), abs(other))
    return 1.0 if not apart else max(0.0, 1.0 - apart / far)
