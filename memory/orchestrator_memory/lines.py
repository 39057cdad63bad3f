"""A project's memory as lines: a JSON object for each thing, by names and uids alone, in an order that does not change.

Every line says its ``line`` (what kind of thing), its ``uid`` and the ``hash`` of all the rest. Columns are those of
`tables`; what is inside a database stays there (numbers of rows, sessions, claims that are held now).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestrator_memory.compiled import of
from orchestrator_memory.intake import values
from orchestrator_memory.redaction import redacted
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.tables import (
    Agent,
    Collaboration,
    Context,
    Link,
    Memory,
    Message,
    Table,
    Task,
)

__all__ = ["FORMAT", "LARGEST", "NAME", "SHAPES", "TEXTS", "Shape", "Wanted", "columns", "digest", "lines", "sealed"]

NAME, FORMAT = "orchestrator-memory", 1
"""What the first line of a file says."""
LARGEST = 2**22
"""Bytes of a JSON column: more than any part of the memory accepts."""


class Shape(NamedTuple):
    """How rows of a table become lines: the column that is the uid, those that name agents, and those that refer."""

    table: type[Table]
    uid: str
    agents: dict[str, str]
    """The name in the line, by column."""
    refers: dict[str, str]
    """The same, for columns with the number of another row of the table."""
    json: frozenset[str]
    hidden: frozenset[str]
    since: str


def _shape(table: type[Table], uid: str, since: str, *, json: str = "", hidden: str = "", **names: str) -> Shape:
    """Return a shape; ``names`` are names in the line by column, those of agents end in ``_id``."""
    agents = {column: name for column, name in names.items() if of(table).c[column].references(of(Agent).c.id)}
    refers = {column: name for column, name in names.items() if column not in agents}
    inside = {"id", "project_id", "session_id", *hidden.split()}
    return Shape(table, uid, agents, refers, frozenset(json.split()), frozenset(inside), since)


SHAPES = {
    "agent": _shape(Agent, "name", "seen_at", hidden="heard"),
    "memory": _shape(
        Memory,
        "uid",
        "updated_at",
        json="data tags evidence flags",
        hidden="digest",
        agent_id="agent",
        superseded_by="superseded_by",
    ),
    "link": Shape(Link, "", {}, {}, frozenset(), frozenset({"source_id", "target_id"}), ""),
    "task": _shape(Task, "uid", "updated_at", json="insights data", agent_id="agent", parent_id="parent"),
    "collaboration": Shape(
        Collaboration, "", {"agent_id": "agent", "other_id": "other"}, {}, frozenset(), frozenset(), "last_at"
    ),
    "context": _shape(Context, "key", "updated_at", json="value", agent_id="agent"),
    "message": _shape(Message, "uid", "created_at", json="details flags", sender_id="sender", reply_to="reply_to"),
}
"""By the word that begins a line, in the order of the file."""
TEXTS = {"role", "title", "body", "words", "source", "description", "note", "reason", "subject", "claimed_by"}
"""Columns in which a secret may have come to stand before its shape was known."""
DELEGATIONS = """
    SELECT d.number, a.name AS "to", d.type, d.reason, d.outcome, d.note, c.uid AS task, d.created_at, d.settled_at
    FROM delegation AS d JOIN agent AS a ON a.id = d.to_agent_id LEFT JOIN task AS c ON c.id = d.child_task_id
    WHERE d.task_id = ? ORDER BY d.number
"""
DELIVERIES = """
    SELECT a.name AS agent, iif(d.state = 'claimed', 'unread', d.state) AS state, d.not_before, d.attempts, d.note,
           d.read_at, d.acked_at
    FROM delivery AS d JOIN agent AS a ON a.id = d.agent_id WHERE d.message_id = ? ORDER BY a.name
"""
LINKS = """
    SELECT s.uid AS source, t.uid AS target, l.relation, l.created_at FROM link AS l
    JOIN memory AS s ON s.id = l.source_id JOIN memory AS t ON t.id = l.target_id
    WHERE s.project_id = ? ORDER BY s.uid, l.relation, t.uid
"""
COLLABORATIONS = """
    SELECT a.name AS agent, o.name AS other, c.type, c.attempts, c.successes, c.micros, c.last_at
    FROM collaboration AS c JOIN agent AS a ON a.id = c.agent_id JOIN agent AS o ON o.id = c.other_id
    WHERE a.project_id = ? ORDER BY a.name, o.name, c.type
"""


class Wanted(NamedTuple):
    """Which things are wanted: all, or memories of some kinds; of one agent; changed since a time."""

    kinds: tuple[str, ...] = ()
    agent: str | None = None
    since: int | None = None

    @property
    def some(self) -> bool:
        """Whether some things are not wanted."""
        return bool(self.kinds or self.agent or self.since is not None)


def columns(shape: Shape) -> list[str]:
    """Return the columns that stand in a line under their own names."""
    named = {*shape.agents, *shape.refers, *shape.hidden, shape.uid}
    return [one.name for one in of(shape.table).columns if one.name not in named]


def lines(db: sqlite3.Connection, project: int, wanted: Wanted) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the lines of a project, and how many secrets were taken out of each."""
    chosen: set[str] = set()
    for name, shape in SHAPES.items():
        if name in {"link", "collaboration"}:
            if name == "link" or not wanted.some:
                yield from _pairs(db, project, name, chosen if wanted.some else None)
            continue
        if (wanted.kinds and name != "memory") or (wanted.some and name == "agent"):
            continue
        for row in db.execute(*_query(name, shape, project, wanted)):
            line, secrets = _line(name, shape, row)
            if name == "task":
                secrets += _inside(line, "delegations", db.execute(DELEGATIONS, (row["id"],)))
            elif name == "message":
                secrets += _inside(line, "deliveries", db.execute(DELIVERIES, (row["id"],)))
            elif name == "memory":
                chosen.add(line["uid"])
            yield line, secrets


def _query(name: str, shape: Shape, project: int, wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Return the statement that finds the rows of a shape, and its values."""
    table = of(shape.table).name
    fields, joins = ["this.*"], ""
    for column, named in shape.agents.items():
        fields.append(f'{named}_.name AS "{named}"')
        joins += f" LEFT JOIN agent AS {named}_ ON {named}_.id = this.{column}"
    for column, named in shape.refers.items():
        fields.append(f'{named}_.uid AS "_{named}"')
        joins += f" LEFT JOIN {table} AS {named}_ ON {named}_.id = this.{column}"
    where, about = ["this.project_id = :project"], dict[str, Any](project=project)
    if wanted.since is not None:
        where.append(f"this.{shape.since} >= :since")
        about["since"] = wanted.since
    if wanted.agent is not None:
        where.append(f"{next(iter(shape.agents.values()))}_.name = :agent")
        about["agent"] = wanted.agent
    if wanted.kinds and name == "memory":
        where.append("this.kind IN (SELECT value FROM json_each(:kinds))")
        about["kinds"] = json.dumps(wanted.kinds)
    statement = f"SELECT {', '.join(fields)} FROM {table} AS this{joins} WHERE {' AND '.join(where)}"  # noqa: S608
    first = (
        "this.created_at, " if name == "message" else ""
    )  # read again, they come in the order in which they were sent
    return f"{statement} ORDER BY {first}this.{shape.uid}", about


def _line(name: str, shape: Shape, row: sqlite3.Row) -> tuple[dict[str, Any], int]:
    line: dict[str, Any] = {"line": name, "uid": row[shape.uid]}
    secrets = 0
    for column in columns(shape):
        line[column], found = _kept(column, row[column], parsed=column in shape.json)
        secrets += found
    line |= {named: row[named] for named in shape.agents.values()}
    return line | {named: row[f"_{named}"] for named in shape.refers.values()}, secrets


def _kept(column: str, value: Any, *, parsed: bool) -> tuple[Any, int]:  # noqa: ANN401 - a column
    if parsed:
        text, secrets = values(column, json.loads(value), LARGEST)
        return json.loads(text), secrets
    return redacted(value) if column in TEXTS and value else (value, 0)


def _inside(line: dict[str, Any], name: str, rows: sqlite3.Cursor) -> int:
    """Put rows that belong to a line into it, and return how many secrets were taken out of them."""
    kept = [{key: _kept(key, row[key], parsed=False) for key in row.keys()} for row in rows]  # noqa: SIM118 - a row
    line[name] = [{key: value for key, (value, _) in one.items()} for one in kept]
    return sum(found for one in kept for _, found in one.values())


def _pairs(
    db: sqlite3.Connection, project: int, name: str, chosen: set[str] | None
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield what stands between two: links of memories that were chosen, and collaborations."""
    for row in db.execute(LINKS if name == "link" else COLLABORATIONS, (project,)):
        fields = dict(zip(row.keys(), row, strict=True))
        uid = "|".join(
            str(fields[key])
            for key in (("source", "relation", "target") if name == "link" else ("agent", "other", "type"))
        )
        if chosen is None or {fields.get("source"), fields.get("target")} <= chosen:
            yield {"line": name, "uid": uid, **fields}, 0


def digest(line: dict[str, Any]) -> str:
    """Return the hash of a line: of all of it but the hash itself."""
    said = {key: value for key, value in line.items() if key != "hash"}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def sealed(line: dict[str, Any]) -> str:
    """Return a line with its hash, as it is written."""
    return json.dumps(line | {"hash": digest(line)}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
