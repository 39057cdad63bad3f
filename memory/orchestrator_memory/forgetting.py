"""Forgetting on request: at once out of sight, or for good, with no byte of it left in the files.

A deleted row is overwritten with zeros, but copies of rows that once moved between pages stay in them, and the search
index keeps the words of what was removed. So what is forgotten for good is deleted, the index is made anew, the file is
rewritten, and its log emptied; the copies that migrations made are removed when they hold it. What cannot be reached:
files that were exported, copies that somebody else made, and the medium's own spare blocks.
Statements are SQL text: they go over every column that holds a text, whatever its table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator_memory.cleaning import cleaned
from orchestrator_memory.errors import NotFound, Refused
from orchestrator_memory.ground import Ground
from orchestrator_memory.retention import removed
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.values import Value

__all__ = ["Forgotten", "forget", "gone"]

LEAST = 4
"""Characters of a text that can be forgotten: shorter ones occur everywhere."""
PLACE = "[forgotten]"
TEXTS = {
    "memory": "area title body words data tags source evidence flags run",
    "message": "subject body details thread task type key",
    "task": "description note insights data type workflow phase run key",
}
"""The columns of the tables whose rows go when one of them has the text."""
HERE = "project_id = :project"
REPLACED = {
    "delegation": ("type reason note", "task_id IN (SELECT id FROM task WHERE project_id = :project)"),
    "delivery": ("claimed_by note", "agent_id IN (SELECT id FROM agent WHERE project_id = :project)"),
    "reservation": ("resource reason", HERE),
    "session": ("client", HERE),
    "agent": ("role", HERE),
}
"""The columns in which the text alone is replaced, and which rows are the project's."""
OF_AGENT = {"memory": "agent_id", "message": "sender_id", "task": "agent_id"}
OF_THEM = (
    "DELETE FROM delegation WHERE to_agent_id = :agent",
    "DELETE FROM delivery WHERE agent_id = :agent",
    "DELETE FROM collaboration WHERE :agent IN (agent_id, other_id)",
    "DELETE FROM reservation WHERE agent_id = :agent",
    "UPDATE event SET agent_id = NULL, change = '{}' WHERE agent_id = :agent",
    "UPDATE context SET agent_id = NULL WHERE agent_id = :agent",
    "DELETE FROM agent WHERE id = :agent",
)
"""What there is about an agent besides what it wrote."""
KEYS = "context:"
FORGOTTEN = "forgotten"
"""The operation of the event that stays: by it, what was forgotten does not come back with a file."""


class Forgotten(Value):
    """What was forgotten, in rows; with ``dry``, what would be.

    ``erased``: no byte of it is left in the files; None when that was not asked for. ``then`` is what to do where it is
    not so, and what was left.
    """

    memories: int = 0
    messages: int = 0
    tasks: int = 0
    entries: int = 0
    """Keys of the shared context."""
    copies: tuple[str, ...] = ()
    """Copies of the database that were removed."""
    hard: bool = False
    dry: bool = False
    erased: bool | None = None
    then: str = ""


class Found(NamedTuple):
    """What is to be forgotten: the uids by the numbers, by table; and the keys of the context."""

    rows: dict[str, dict[int, str]]
    keys: tuple[str, ...] = ()

    def uids(self, table: str) -> dict[int, str]:
        """Return the uids of a table's rows by their numbers."""
        return self.rows.get(table, {})


def gone(ground: Ground, db: sqlite3.Connection) -> set[str]:
    """Return what was forgotten for good: subjects of events."""
    rows = db.execute("SELECT subject FROM event WHERE project_id = ? AND operation = ?", (ground.project, FORGOTTEN))
    return {str(row["subject"]) for row in rows}


def forget(
    ground: Ground,
    *,
    uid: str | None = None,
    agent: str | None = None,
    text: str | None = None,
    hard: bool = False,
    dry: bool = False,
    seconds: float = 5.0,
) -> Forgotten:
    """Forget one thing, all that an agent wrote, or everything in which a text stands; exactly one of them is given.

    ``uid`` is that of a memory, a message or a task, or ``context:KEY``. Without ``hard``, memories alone are hidden at
    once, and let go by `prune`; with it, everything is erased (see the module), waiting up to ``seconds`` for readers.
    A ``text`` is looked for as it is written; in the shared context and in notes, it alone is taken out. An agent that
    is forgotten for good is known no more; its name stays where others wrote it. With ``dry``, nothing is changed.

    Raises:
        NotFound: there is no such thing or agent.
        ReadOnly: a newer version of the program wrote the database.
        Refused: none of the three is given, or more, or the text is too short.

    """
    if sum(one is not None for one in (uid, agent, text)) != 1:
        raise Refused("uid, agent, text", "exactly one of them says what to forget.")
    wanted = None if text is None else cleaned(text)
    if wanted is not None and len(wanted) < LEAST:
        raise Refused("text", f"has {len(wanted)} characters, at least {LEAST} are needed.")
    if dry:
        return _told(_found(ground, ground.read(), uid, agent, wanted), hard=hard, dry=True)
    with ground.write() as db:
        found = _found(ground, db, uid, agent, wanted)
        if not hard:
            if uid is not None and not found.uids("memory"):
                raise Refused("hard", "only memories can be hidden.", then="With hard, it is erased for good.")
            _hide(ground, db, found)
            return _told(found, hard=False, dry=False)
        _erase(ground, db, found, agent, wanted)
    needles = [one.encode() for rows in found.rows.values() for one in rows.values()]
    needles += [] if wanted is None else [wanted.encode(), _in_json(wanted).encode()]
    copies = [path for path in _copies(ground.door.path) if _holds(path, needles)]
    for path in copies:
        path.unlink()
    try:
        erased, why = ground.door.scoured(seconds=seconds), "somebody reads the database and keeps its log"
    except sqlite3.OperationalError as error:
        erased, why = False, f"the file could not be rewritten ({error})"
    then = "" if erased else f"It is deleted, but {why}: forget it again, or end who reads."
    told = _told(found, hard=True, dry=False)
    return told.model_copy(update={"copies": tuple(path.name for path in copies), "erased": erased, "then": then})


def _found(ground: Ground, db: sqlite3.Connection, uid: str | None, agent: str | None, text: str | None) -> Found:
    if uid is not None:
        return _of_uid(ground, db, uid)
    found: dict[str, dict[int, str]] = {}
    keys: tuple[str, ...] = ()
    for table, column in OF_AGENT.items():
        if agent is not None:
            condition, about = f"{column} = :agent", {"agent": ground.agent(db, agent)}
        else:
            condition, about = _has(TEXTS[table]), _needles(text or "")
        rows = db.execute(
            f"SELECT id, uid FROM {table} WHERE project_id = :project AND ({condition})",  # noqa: S608 - our own tables
            {"project": ground.project, **about},
        )
        found[table] = {int(row["id"]): str(row["uid"]) for row in rows}
    if text is not None:
        statement = f"SELECT key FROM context WHERE project_id = :project AND ({_has('key value')})"  # noqa: S608
        rows = db.execute(statement, {"project": ground.project, **_needles(text)})
        keys = tuple(row["key"] for row in rows)
    return Found(found, keys)


def _of_uid(ground: Ground, db: sqlite3.Connection, uid: str) -> Found:
    if uid.startswith(KEYS):
        key = uid.removeprefix(KEYS)
        if db.execute("SELECT 1 FROM context WHERE project_id = ? AND key = ?", (ground.project, key)).fetchone():
            return Found({}, (key,))
    for table in TEXTS:
        statement = f"SELECT id FROM {table} WHERE project_id = ? AND uid = ?"  # noqa: S608 - our own tables
        row = db.execute(statement, (ground.project, uid)).fetchone()
        if row is not None:
            return Found({table: {int(row["id"]): uid}})
    raise NotFound("memory, message or task", uid, then=f"A key of the shared context is {KEYS}KEY.")


def _hide(ground: Ground, db: sqlite3.Connection, found: Found) -> None:
    hidden = (
        "UPDATE memory SET pinned = 0, expires_at = :at, valid_to = ifnull(valid_to, :at), updated_at = :at, "
        "version = version + 1 WHERE id = :id RETURNING version"
    )
    for number, uid in found.uids("memory").items():
        version = db.execute(hidden, {"at": ground.clock(), "id": number}).fetchone()[0]
        ground.note(db, f"memory:{uid}", FORGOTTEN, version=version)


def _erase(ground: Ground, db: sqlite3.Connection, found: Found, agent: str | None, text: str | None) -> None:
    project = ground.project
    for table, rows in found.rows.items():
        removed(db, table, list(rows))
    subjects = [f"{table}:{uid}" for table, rows in found.rows.items() for uid in rows.values()]
    if text is None:
        subjects += [f"{KEYS}{key}" for key in found.keys]
        db.executemany("DELETE FROM context WHERE project_id = ? AND key = ?", [(project, key) for key in found.keys])
    db.execute(
        "UPDATE event SET change = '{}' WHERE project_id = ? AND subject IN (SELECT value FROM json_each(?))",
        (project, json.dumps(subjects)),
    )
    if agent is not None:
        number = ground.agent(db, agent)
        for statement in OF_THEM:
            db.execute(statement, {"agent": number})
    if text is not None:
        _replace(ground, db, text, found.keys)
    for subject in subjects:
        ground.note(db, subject, FORGOTTEN)
    db.execute("INSERT INTO memory_words(memory_words) VALUES('rebuild')")


def _replace(ground: Ground, db: sqlite3.Connection, text: str, keys: tuple[str, ...]) -> None:
    """Take a text out of what stays: the context in a new version, and notes."""
    about = {"project": ground.project, "place": PLACE, "at": ground.clock(), **_needles(text)}
    for key in keys:
        row = db.execute("SELECT * FROM context WHERE project_id = ? AND key = ?", (ground.project, key)).fetchone()
        value = json.dumps(_without(json.loads(row["value"]), text), ensure_ascii=False, sort_keys=True)
        db.execute(
            "UPDATE OR REPLACE context SET key = replace(key, :text, 'forgotten'), value = :value, "
            "version = version + 1, updated_at = :at WHERE project_id = :project AND key = :key",
            {"key": key, "value": value, **about},
        )
        ground.note(db, f"{KEYS}{key.replace(text, 'forgotten')}", FORGOTTEN, version=row["version"] + 1)
    for table, (columns, ours) in REPLACED.items():
        changes = ", ".join(f"{one} = replace({one}, :text, :place)" for one in columns.split())
        db.execute(f"UPDATE {table} SET {changes} WHERE {ours} AND ({_has(columns)})", about)  # noqa: S608 - our own
    db.execute(f"UPDATE event SET change = '{{}}' WHERE project_id = :project AND ({_has('change')})", about)  # noqa: S608
    renamed = "UPDATE event SET subject = replace(subject, :text, 'forgotten') WHERE project_id = :project"
    db.execute(f"{renamed} AND instr(subject, :text)", about)


def _without(value: Any, text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value without a text, wherever it stands in it."""
    match value:
        case str():
            return value.replace(text, PLACE)
        case dict():
            return {_without(key, text): _without(inner, text) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_without(inner, text) for inner in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return PLACE if text in json.dumps(value) else value


def _has(columns: str) -> str:
    """Return the condition that a text, or how JSON writes it, stands in one of some columns."""
    return " OR ".join(f"instr({one}, :text) OR instr({one}, :json)" for one in columns.split())


def _needles(text: str) -> dict[str, Any]:
    return {"text": text, "json": _in_json(text)}


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _told(found: Found, *, hard: bool, dry: bool) -> Forgotten:
    messages, tasks, entries = len(found.uids("message")), len(found.uids("task")), len(found.keys)
    told = Forgotten(memories=len(found.uids("memory")), hard=hard, dry=dry)
    if hard:
        return told.model_copy(update={"messages": messages, "tasks": tasks, "entries": entries})
    left = f"{messages} messages, {tasks} tasks and {entries} keys of the shared context stay; with hard they go too."
    return told.model_copy(update={"then": left}) if messages or tasks or entries else told


def _copies(path: Path) -> list[Path]:
    """Return the copies of a database that migrations made."""
    return sorted(path.parent.glob(f"{path.name}.before-*"))


def _holds(path: Path, needles: list[bytes]) -> bool:
    data = path.read_bytes()
    return any(one in data for one in needles)
