"""What is left after the hammer: is every acknowledged write there, is none half, is none there twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from blows import PROJECT, noted

from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.store import MemoryStore

__all__ = ["findings", "looked", "notes"]

CHECKS = ("integrity_check", "foreign_key_check")
Notes = dict[str, list[dict[str, Any]]]


def findings(folder: Path, names: list[str]) -> list[str]:
    """Compare the database of a folder with what its writers noted; nothing found is how it has to be."""
    with MemoryStore.open(folder / "memory.db", PROJECT) as store:
        found = looked(store.door.read(), notes(folder, names))
        found += [f"{check}: {'; '.join(answers)}" for check in CHECKS if (answers := _answers(store, check))]
        with store.door.write() as writer:  # the index says what is wrong with it as an error
            try:
                writer.execute("INSERT INTO memory_words(memory_words, rank) VALUES('integrity-check', 1)")
            except sqlite3.DatabaseError as error:
                found.append(f"the search index does not have what the memories say: {error}")
    return found


def notes(folder: Path, names: list[str]) -> Notes:
    """Return what each of the writers noted as acknowledged."""
    return {name: [one for one in noted(folder, name) if "done" in one] for name in names}


def looked(db: sqlite3.Connection, notes: Notes) -> list[str]:
    """Compare the rows that a connection sees with what was noted."""
    found = [*_memories(db, notes), *_tasks(db, notes), *_messages(db, notes)]
    return [*found, *_ledger(db, notes), *_reservations(db, notes)]


def _of(notes: Notes, kind: str) -> list[dict[str, Any]]:
    return [one for lines in notes.values() for one in lines if one["done"] == kind]


def _same(what: str, kept: Counter[Any], wanted: Counter[Any]) -> Iterator[str]:
    yield from (f"{what} is not there: {one}" for one in wanted - kept)
    yield from (f"{what} is there twice, or nobody wrote it: {one}" for one in kept - wanted)


def _memories(db: sqlite3.Connection, notes: Notes) -> Iterator[str]:
    done = _of(notes, "remember")
    kept = Counter((row["uid"], row["title"]) for row in db.execute("SELECT uid, title FROM memory"))
    yield from _same("a memory", kept, Counter((one["uid"], one["key"]) for one in done))
    search = "SELECT m.uid FROM memory_words w JOIN memory m ON m.id = w.rowid WHERE memory_words MATCH ?"
    for one in done:
        if [row[0] for row in db.execute(search, (f'title:"{one["key"]}"',))] != [one["uid"]]:
            yield f"a memory is not found by its words: {one['key']}"


def _tasks(db: sqlite3.Connection, notes: Notes) -> Iterator[str]:
    text = """SELECT uid, key, outcome, insights, (SELECT count(*) FROM delegation WHERE task_id = task.id) AS parts
              FROM task"""
    rows = db.execute(text).fetchall()
    kept = Counter((row["uid"], row["key"]) for row in rows)
    yield from _same("a task", kept, Counter((one["uid"], one["key"]) for one in _of(notes, "task")))
    for row in rows:
        if (row["outcome"], json.loads(row["insights"]), row["parts"]) != ("success", [row["key"]], 1):
            yield f"a task is half: {dict(row)}"


def _messages(db: sqlite3.Connection, notes: Notes) -> Iterator[str]:
    text = """SELECT m.uid, m.key, group_concat(a.name) AS names FROM message m
              LEFT JOIN delivery d ON d.message_id = m.id LEFT JOIN agent a ON a.id = d.agent_id GROUP BY m.id"""
    rows = db.execute(text).fetchall()
    done = _of(notes, "send")
    yield from _same(
        "a message",
        Counter((row["uid"], row["key"]) for row in rows),
        Counter((one["uid"], one["key"]) for one in done),
    )
    to = {one["uid"]: sorted(one["to"]) for one in done}
    for row in rows:
        if sorted((row["names"] or "").split(",")) != to.get(row["uid"]):
            yield f"a message is not with those whom it is for: {row['key']}"
    acked = """SELECT a.name, m.uid FROM delivery d JOIN agent a ON a.id = d.agent_id
               JOIN message m ON m.id = d.message_id WHERE d.state = 'acked'"""
    kept = {tuple(row) for row in db.execute(acked)}
    for name, lines in notes.items():
        for uid in (uid for one in lines if one["done"] == "acknowledge" for uid in one["uids"]):
            if (name, uid) not in kept:
                yield f"an acknowledgement is not there: {name} {uid}"


def _ledger(db: sqlite3.Connection, notes: Notes) -> Iterator[str]:
    counts = {name: count for name, lines in notes.items() if (count := sum(one["done"] == "merge" for one in lines))}
    row = db.execute("SELECT value FROM context WHERE key = 'ledger'").fetchone()
    ledger = json.loads(row[0]) if row else {"total": 0, "by": {}}
    if ledger["by"] != counts or ledger["total"] != sum(counts.values()):
        yield f"merges of the shared context were lost or doubled: {ledger}, acknowledged {counts}"


def _reservations(db: sqlite3.Connection, notes: Notes) -> Iterator[str]:
    text = """SELECT r.id, a.name, r.created_at, coalesce(r.released_at, r.expires_at) AS until
              FROM reservation r JOIN agent a ON a.id = r.agent_id ORDER BY r.id"""
    rows = db.execute(text).fetchall()
    for one, after in pairwise(rows):
        if min(one["until"], after["until"]) > after["created_at"] and one["name"] != after["name"]:
            yield f"two had the same at once: {one['name']} with fence {one['id']}, {after['name']} with {after['id']}"
    owners = {row["id"]: row["name"] for row in rows}
    for name, lines in notes.items():
        for one in lines:
            if one["done"] == "reserve" and one["fence"] is not None and owners.get(one["fence"]) != name:
                yield f"a reservation of {name} is not there: fence {one['fence']}"


def _answers(store: MemoryStore, check: str) -> list[str]:
    answers = [str(tuple(row)) for row in store.door.read().execute(f"PRAGMA {check}")]
    return [] if answers == ["('ok',)"] else answers
