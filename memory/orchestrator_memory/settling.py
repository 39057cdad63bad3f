"""Where a line of a file belongs in the memory: a new row, a later version of one that is there, or nothing to do.

Statements are SQL text made from the columns of `tables`: the same few for every table.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from orchestrator_memory.compiled import of
from orchestrator_memory.errors import Refused
from orchestrator_memory.forgetting import gone
from orchestrator_memory.ground import Ground
from orchestrator_memory.lines import SHAPES, Shape, Wanted, columns, digest, lines
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.writing import digest as likeness

__all__ = ["Differs", "Settling"]

Became = Literal["added", "newer", "same", "older"]
FINAL = frozenset({"agent", "message"})
"""Kinds of lines of which what is here is never changed by a file."""
ROW = "(SELECT id FROM {table} WHERE uid = :{name} AND project_id = :project)"


class Differs(Exception):
    """What stands here is another thing of the same version; it stays."""


class Settling:
    """What is here, and what comes to it."""

    def __init__(self, ground: Ground) -> None:
        """Look at what is here."""
        self._ground = ground
        there = lines(ground.read(), ground.project, Wanted())
        self._known = {(line["line"], line["uid"]): (digest(line), line.get("version", 0)) for line, _ in there}
        self._gone = gone(ground, ground.read())
        self._instead: dict[str, str] = {}
        """The uid of the memory here that says the same, by the uid of the line."""
        self._later: list[tuple[str, dict[str, Any]]] = []

    def has(self, kind: str, uid: str) -> bool:
        """Whether a thing is here by its uid."""
        return (kind, uid) in self._known

    def place(self, db: sqlite3.Connection, line: dict[str, Any]) -> Became:
        """Put a line where it belongs.

        Raises:
            Differs: what stands here is another thing of the same version.
            Refused: it was forgotten here.

        """
        kind, own = line["line"], digest(line)
        known, version = self._known.get((kind, line["uid"]), (None, 0))
        if known == own:
            return "same"
        if known is None and f"{kind}:{line['uid']}" in self._gone:
            raise Refused("uid", f"{kind} {line['uid']} was forgotten here, and does not come back with a file.")
        if kind in {"link", "collaboration"}:
            became = self._pair(db, line, new=known is None)
        elif known is None:
            became = "same" if self._said(db, line) else self._row(db, line, new=True)
        elif kind in FINAL:
            became = "same"
        elif line["version"] == version:
            raise Differs(f"{kind} {line['uid']} stands here in the same version with another content; it stays.")
        else:
            became = self._row(db, line, new=False) if line["version"] > version else "older"
        if became in {"added", "newer"}:
            self._known[kind, line["uid"]] = (own, line.get("version", 0))
        return became

    def finish(self, db: sqlite3.Connection) -> None:
        """Tie together what refers to each other, after all lines are here."""
        for statement, about in self._later:
            other = self._instead.get(about["other"], about["other"])
            db.execute(statement, about | {"other": other, "project": self._ground.project})

    # One line --------------------------------------------------------------------------------------------------------

    def _row(self, db: sqlite3.Connection, line: dict[str, Any], *, new: bool) -> Became:
        shape = SHAPES[line["line"]]
        table = of(shape.table).name
        row = self._columns(db, shape, line)
        if new:
            named = ", ".join(f'"{one}"' for one in row)
            statement = f"INSERT INTO {table}({named}) VALUES({', '.join(f':{one}' for one in row)})"
        else:
            changes = ", ".join(f'"{one}" = :{one}' for one in row if one not in {shape.uid, "project_id"})
            statement = f"UPDATE {table} SET {changes} WHERE {shape.uid} = :{shape.uid} AND project_id = :project_id"  # noqa: S608
        db.execute(statement, row)
        for column, name in shape.refers.items():
            if line[name] is not None:
                found = ROW.format(table=table, name="other")
                change = f"UPDATE {table} SET {column} = {found} WHERE uid = :uid AND project_id = :project"  # noqa: S608
                self._later.append((change, {"uid": line["uid"], "other": line[name]}))
        if line["line"] == "task":
            self._delegations(db, line)
        elif line["line"] == "message":
            self._deliveries(db, line)
        return "added" if new else "newer"

    def _columns(self, db: sqlite3.Connection, shape: Shape, line: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {shape.uid: line["uid"], "project_id": self._ground.project}
        for column in columns(shape):
            value = line[column]
            row[column] = json.dumps(value, ensure_ascii=False, sort_keys=True) if column in shape.json else value
        for column, name in shape.agents.items():
            row[column] = None if line[name] is None else self._ground.met(db, line[name])
        if line["line"] == "memory":
            row["digest"] = likeness(line["kind"], line["title"], line["body"])
        elif line["line"] == "agent":
            row["heard"] = 0
        return row

    def _said(self, db: sqlite3.Connection, line: dict[str, Any]) -> bool:
        """Whether a memory here says the same in the name of the same agent; it stands for that of the line."""
        if line["line"] != "memory" or line["valid_to"] is not None:
            return False
        agent = 0 if line["agent"] is None else self._ground.met(db, line["agent"])
        row = db.execute(
            "SELECT uid FROM memory WHERE project_id = ? AND ifnull(agent_id, 0) = ? AND kind = ? AND digest = ? "
            "AND valid_to IS NULL",
            (self._ground.project, agent, line["kind"], likeness(line["kind"], line["title"], line["body"])),
        ).fetchone()
        if row is not None:
            self._instead[line["uid"]] = row["uid"]
        return row is not None

    def _delegations(self, db: sqlite3.Connection, line: dict[str, Any]) -> None:
        about = {"uid": line["uid"], "project": self._ground.project}
        task = ROW.format(table="task", name="uid")
        db.execute(f"DELETE FROM delegation WHERE task_id = {task}", about)  # noqa: S608 - our own
        for one in line["delegations"]:
            db.execute(
                "INSERT INTO delegation"
                "(task_id, number, to_agent_id, type, reason, outcome, note, created_at, settled_at) "
                f"VALUES({task}, :number, :agent, :type, :reason, :outcome, :note, :created_at, :settled_at)",
                {**one, **about, "agent": self._ground.met(db, one["to"])},
            )
            if one["task"] is not None:
                child = ROW.format(table="task", name="other")
                change = f"UPDATE delegation SET child_task_id = {child} WHERE task_id = {task} AND number = :number"  # noqa: S608
                self._later.append((change, {"uid": line["uid"], "number": one["number"], "other": one["task"]}))

    def _deliveries(self, db: sqlite3.Connection, line: dict[str, Any]) -> None:
        message = ROW.format(table="message", name="uid")
        for one in line["deliveries"]:
            about = {"priority": line["priority"], "expires": line["expires_at"], "uid": line["uid"]}
            db.execute(
                "INSERT INTO delivery"
                "(agent_id, message_id, priority, expires_at, state, claimed_by, not_before, attempts, "
                f"note, read_at, acked_at) VALUES(:number, {message}, :priority, :expires, :state, '', :not_before, "
                ":attempts, :note, :read_at, :acked_at)",
                {**one, **about, "project": self._ground.project, "number": self._ground.met(db, one["agent"])},
            )

    def _pair(self, db: sqlite3.Connection, line: dict[str, Any], *, new: bool) -> Became:
        if line["line"] == "collaboration":
            numbers = {"agent": self._ground.met(db, line["agent"]), "other": self._ground.met(db, line["other"])}
            done = db.execute(
                "INSERT INTO collaboration VALUES(:agent, :other, :type, :attempts, :successes, :micros, :last_at) "
                "ON CONFLICT DO UPDATE SET attempts = excluded.attempts, successes = excluded.successes, "
                "micros = excluded.micros, last_at = excluded.last_at WHERE excluded.attempts > attempts",
                {**line, **numbers},
            )
            return "added" if new else "newer" if done.rowcount else "older"
        ends = {name: self._instead.get(line[name], line[name]) for name in ("source", "target")}
        source, target = (ROW.format(table="memory", name=name) for name in ends)
        done = db.execute(
            f"INSERT OR IGNORE INTO link SELECT {source}, {target}, :relation, :created_at "
            f"WHERE {source} IS NOT NULL AND {target} IS NOT NULL",
            {**line, **ends, "project": self._ground.project},
        )
        return "added" if done.rowcount else "same"
