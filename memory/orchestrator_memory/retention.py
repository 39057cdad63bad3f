"""What is let go with time: what is done, was replaced or has expired, after a while; never what is unread or pinned.

The counts of collaboration, what was learned, and the present context stay. Statements are SQL text: each is a
condition over several tables, twice as long when it is written with Core, and tests run every one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import Field

from orchestrator_memory.claims import BURY
from orchestrator_memory.ground import Ground
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.values import Value

__all__ = ["Keep", "Pruned", "prune"]

SLICE = 500
"""Rows of one transaction: others write in between."""
DAY = 86_400_000_000


class Keep(Value):
    """For how many days things stay."""

    acknowledged: float = Field(default=14, ge=0)
    """Messages after all who got them have acknowledged."""
    dead: float = Field(default=30, ge=0)
    """Messages that nobody acknowledged in time or after five attempts; reservations that are over."""
    expired: float = Field(default=30, ge=0)
    """Memories after they expired or were forgotten."""
    superseded: float = Field(default=90, ge=0)
    """Memories after another took their place."""
    tasks: float = Field(default=180, ge=0)
    """Tasks after their end, and messages to all that never expire."""
    events: float = Field(default=180, ge=0)
    """Who changed what."""


class Pruned(Value):
    """What was let go, in rows; with ``dry``, what would be."""

    memories: int = 0
    messages: int = 0
    tasks: int = 0
    events: int = 0
    reservations: int = 0
    dry: bool = False


class Rule(NamedTuple):
    """Which rows of a table go, and what must be done before."""

    table: str
    where: str
    before: tuple[str, ...] = ()


RULES = {
    "memories": Rule(
        "memory",
        "pinned = 0 AND (expires_at <= :expired OR valid_to <= :superseded)",
        ("UPDATE memory SET superseded_by = NULL WHERE superseded_by IN (SELECT value FROM json_each(:these))",),
    ),
    "messages": Rule(
        "message",
        """created_at <= :acknowledged
        AND (broadcast = 0 OR expires_at <= :dead OR created_at <= :tasks)
        AND NOT EXISTS (
            SELECT 1 FROM delivery AS one WHERE one.message_id = message.id AND NOT (
                (one.state = 'acked' AND one.acked_at <= :acknowledged)
                OR (one.state = 'dead'
                    AND max(created_at, one.not_before, ifnull(one.expires_at, 0), ifnull(one.read_at, 0)) <= :dead)
            )
        )""",
        ("UPDATE message SET reply_to = NULL WHERE reply_to IN (SELECT value FROM json_each(:these))",),
    ),
    "tasks": Rule(
        "task",
        "outcome <> 'running' AND ended_at <= :tasks",
        (
            "UPDATE task SET parent_id = NULL WHERE parent_id IN (SELECT value FROM json_each(:these))",
            "UPDATE delegation SET child_task_id = NULL WHERE child_task_id IN (SELECT value FROM json_each(:these))",
        ),
    ),
    "events": Rule("event", "at <= :events AND operation <> 'forgotten'"),
    "reservations": Rule("reservation", "ifnull(released_at, expires_at) <= :dead"),
}


def prune(ground: Ground, keep: Keep | None = None, *, dry: bool = False) -> Pruned:
    """Let go what its time is over for, a slice at a time, and return how much that was.

    With ``dry``, nothing is changed.

    Raises:
        ReadOnly: a newer version of the program wrote the database.

    """
    kept = Keep() if keep is None else keep
    now = ground.clock()
    about = {name: now - round(days * DAY) for name, days in kept.model_dump().items()} | {"project": ground.project}
    if not dry:
        with ground.write() as db:
            BURY(db, project=ground.project, agent=None, at=now)
    return Pruned(**{name: sum(_slices(ground, rule, about, dry=dry)) for name, rule in RULES.items()}, dry=dry)


def _slices(ground: Ground, rule: Rule, about: dict[str, int], *, dry: bool) -> Iterator[int]:
    """Let go slice by slice, and yield the rows of each; dry, all of them at once."""
    chosen = f"FROM {rule.table} WHERE project_id = :project AND ({rule.where})"
    if dry:
        yield int(ground.read().execute(f"SELECT count(*) {chosen}", _used(chosen, about)).fetchone()[0])
        return
    while True:
        with ground.write() as db:
            rows = db.execute(f"SELECT id {chosen} ORDER BY id LIMIT {SLICE}", _used(chosen, about)).fetchall()
            removed(db, rule.table, [int(row["id"]) for row in rows], rule.before)
        yield len(rows)
        if len(rows) < SLICE:
            return


def _used(text: str, about: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in about.items() if f":{name}" in text}


def removed(db: sqlite3.Connection, table: str, numbers: list[int], before: tuple[str, ...] | None = None) -> None:
    """Delete rows by their numbers, after what refers to them was freed of that."""
    first = next((one.before for one in RULES.values() if one.table == table), ()) if before is None else before
    these = json.dumps(numbers)
    for statement in (*first, f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(:these))"):  # noqa: S608 - our own
        db.execute(statement, {"these": these})
