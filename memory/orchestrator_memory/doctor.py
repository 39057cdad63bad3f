"""Whether a database of the memory is well: its file, its library, its index, and what lies in it unattended.

A look changes nothing, and none of the tables' classes is loaded for it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from orchestrator_memory.door import now
from orchestrator_memory.lock import FileLock
from orchestrator_memory.place import network
from orchestrator_memory.schema import AREA, STEPS
from orchestrator_memory.sqlite import FIXED, sound, sqlite3

__all__ = ["Finding", "examine"]

LARGE = 64 * 2**20
"""Bytes of a log from which on something keeps it from being emptied."""
ROOM = 100 * 2**20
PATIENCE = 5.0
"""Seconds for which the turn to look at the index is waited for."""
OTHERS = 0o077
SHOWN = 5


class Finding(NamedTuple):
    """What was found: not ``ok`` is a problem, and ``then`` what to do; ok with a ``then`` is worth knowing."""

    name: str
    ok: bool
    text: str
    then: str = ""


def examine(path: Path, *, patience: float = PATIENCE, clock: Callable[[], int] = now) -> list[Finding]:
    """Look at the database at ``path``, and return what was found; where there is none, that is well too."""
    found = [_library(), _place(path)]
    if not path.exists():
        return [*found, Finding("file", ok=True, text=f"{path} does not exist yet; it is made when it is first used.")]
    found += [*_files(path), _room(path), _log(path)]
    try:
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA query_only=ON")
            schema = _schema(db)
            found += [schema, _whole(db), _references(db)]
            if schema.ok:
                found += [_index(path, patience), *_unattended(db, clock())]
    except sqlite3.Error as error:
        then = "Import the last export into a new file, and keep this one for a look."
        found.append(Finding("content", ok=False, text=f"{path} cannot be read: {error}.", then=then))
    return found


def _library() -> Finding:
    text = f"SQLite {sqlite3.sqlite_version}, of {sqlite3.__name__.partition('.')[0]}."
    if sound():
        return Finding("library", ok=True, text=text)
    fixed = ".".join(map(str, FIXED))
    then = f"Before {fixed}, a log that several programs write can be damaged; our lock prevents it. Let no other"
    return Finding("library", ok=True, text=text, then=f"{then} program write the file, or install pysqlite3.")


def _place(path: Path) -> Finding:
    kind = network(path)
    if kind is None:
        return Finding("place", ok=True, text="It lies on a disk of this machine, as far as can be told.")
    then = "Move it to a disk of this machine: locks cannot be relied on there."
    return Finding("place", ok=False, text=f"{path} lies on a network file system ({kind}).", then=then)


def _files(path: Path) -> Iterator[Finding]:
    """Tell whether others may read, and which copies there are."""
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".lock"))]
    copies = sorted(path.parent.glob(f"{path.name}.before-*"))
    open_ones = [one for one in (*files, *copies) if one.exists() and one.stat().st_mode & OTHERS]
    if os.name == "posix" and open_ones:
        then = f"chmod go= {' '.join(str(one) for one in open_ones)}"
        yield Finding("modes", ok=False, text="Others may read what agents wrote.", then=then)
    else:
        yield Finding("modes", ok=True, text="Only the owner may read it.")
    if copies:
        names = ", ".join(one.name for one in copies)
        then = "Remove them when all is well; what is forgotten for good removes those that hold it."
        yield Finding("copies", ok=True, text=f"Copies from before a change of the schema: {names}.", then=then)


def _room(path: Path) -> Finding:
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    text = f"{size / 2**20:.1f} MiB, and {free / 2**20:.0f} MiB are free."
    if free < 2 * size + ROOM:
        return Finding("room", ok=False, text=text, then="Make room: rewriting the file takes its size twice.")
    return Finding("room", ok=True, text=text)


def _log(path: Path) -> Finding:
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    text = f"The log has {size / 2**20:.1f} MiB."
    if size > LARGE:
        return Finding("log", ok=False, text=text, then="Some program reads without end and keeps it: end that one.")
    return Finding("log", ok=True, text=text)


def _schema(db: sqlite3.Connection) -> Finding:
    known = len(STEPS)
    there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migration'").fetchone()
    last = "SELECT coalesce(max(number), 0) FROM migration WHERE area = ?"
    number = db.execute(last, (AREA,)).fetchone()[0] if there else 0
    if not number:
        return Finding(
            "schema", ok=False, text="It has no tables of the memory.", then="Open it once, or name another."
        )
    if number > known:
        text = f"It is of schema {number}, this version knows {known}: it is only read."
        return Finding("schema", ok=True, text=text, then="Use the newer version of the program to write.")
    then = "" if number == known else "It is brought up to date when it is next opened, after a copy was made."
    return Finding("schema", ok=True, text=f"It is of schema {number}.", then=then)


def _whole(db: sqlite3.Connection) -> Finding:
    problems = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({SHOWN})")]
    if problems == ["ok"]:
        return Finding("content", ok=True, text="The file is whole.")
    then = "Export what can be read, and import it into a new file."
    return Finding("content", ok=False, text=f"The file is damaged: {'; '.join(problems)}.", then=then)


def _references(db: sqlite3.Connection) -> Finding:
    wrong = db.execute("PRAGMA foreign_key_check").fetchmany(SHOWN)
    if not wrong:
        return Finding("references", ok=True, text="Every row refers to rows that there are.")
    rows = "; ".join(f"row {row[1]} of {row[0]} to {row[2]}" for row in wrong)
    then = "Another program wrote the file: export, and import into a new one."
    return Finding("references", ok=False, text=f"Rows refer to none: {rows}.", then=then)


def _index(path: Path, patience: float) -> Finding:
    """Compare the search index with what it is of; SQLite calls that an insertion, so it takes a turn."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    until = time.monotonic() + patience
    while not lock.acquire(wait=False):
        if time.monotonic() > until:
            then = f"Look again later, or which program has {lock.path} open."
            return Finding("index", ok=True, text=f"Not looked at: somebody wrote for {patience:g} s.", then=then)
        time.sleep(0.02)
    try:
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO memory_words(memory_words, rank) VALUES('integrity-check', 1)")
            db.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        then = "INSERT INTO memory_words(memory_words) VALUES('rebuild')"
        then += " makes it anew, as does forgetting anything for good."
        return Finding("index", ok=False, text=f"The search index is not what the memories say: {error}.", then=then)
    finally:
        lock.close()
    return Finding("index", ok=True, text="The search index has what the memories say, and every writer gets its turn.")


UNATTENDED = {
    "claims": (
        "SELECT count(*) FROM delivery WHERE state = 'claimed' AND lease_until <= :at",
        "{} messages are claimed by somebody whose time is over.",
        "They are free for the next who claims; nothing needs to be done.",
    ),
    "dead letters": (
        "SELECT count(*) FROM delivery WHERE state = 'dead'",
        "{} messages were acknowledged by nobody in time, or claimed five times in vain.",
        "Look at them (`memory messages --dead`), and revive what still matters.",
    ),
    "reservations": (
        "SELECT count(*) FROM reservation WHERE released_at IS NULL AND expires_at <= :at",
        "{} reservations ran out without being released.",
        "They hold nothing any more, and are let go with time.",
    ),
}


def _unattended(db: sqlite3.Connection, at: int) -> Iterator[Finding]:
    for name, (statement, text, then) in UNATTENDED.items():
        many = int(db.execute(statement, {"at": at} if ":at" in statement else {}).fetchone()[0])
        yield Finding(name, ok=True, text=text.format(many or "No"), then=then if many else "")
