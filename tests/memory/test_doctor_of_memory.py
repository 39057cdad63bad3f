"""The doctor of the memory: what it says of a database that is well, and of every way in which one is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from orchestrator_memory import doctor, place
from orchestrator_memory.doctor import Finding, examine
from orchestrator_memory.lock import FileLock
from orchestrator_memory.sqlite import sqlite3
from orchestrator_memory.store import MemoryStore


class Clock(Protocol):
    """The clock of the fixture."""

    def __call__(self) -> int: ...

    def pass_by(self, seconds: float) -> None: ...


def looked(path: Path, clock: Clock) -> dict[str, Finding]:
    return {one.name: one for one in examine(path, patience=0.05, clock=clock)}


def problems(path: Path, clock: Clock) -> dict[str, str]:
    return {name: one.text for name, one in looked(path, clock).items() if not one.ok}


def test_a_database_that_is_well_has_no_problem_and_is_left_as_it_is(store: MemoryStore, clock: Clock) -> None:
    store.memories.remember("the target leaks", agent="one")
    store.messages.send("one", "look", to=["two"])
    before = store.changes()
    found = looked(store.door.path, clock)
    assert {name for name, one in found.items() if not one.ok} == set()
    assert found.keys() >= {
        *("library", "place", "modes", "room", "log", "schema", "content", "references", "index"),
        *("claims", "dead letters", "reservations"),
    }
    assert sqlite3.sqlite_version in found["library"].text
    assert store.changes() == before
    assert store.memories.remember("and another", agent="one").new, "nothing is held"


def test_where_there_is_none_yet_nothing_is_made(tmp_path: Path, clock: Clock) -> None:
    found = looked(tmp_path / "memory.db", clock)
    assert found["file"].ok
    assert list(tmp_path.iterdir()) == []


def test_a_library_with_the_bug_is_worth_knowing(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "sound", lambda: False)
    found = looked(store.door.path, clock)["library"]
    assert found.ok
    assert "pysqlite3" in found.then


def test_a_network_file_system_is_a_problem(
    store: MemoryStore, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"31 22 0:41 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(place, "MOUNTS", table)
    assert "nfs4" in problems(store.door.path, clock)["place"]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_file_that_others_may_read_is_a_problem_with_its_remedy(store: MemoryStore, clock: Clock) -> None:
    path = store.door.path
    path.chmod(0o644)
    found = looked(path, clock)["modes"]
    assert not found.ok
    assert found.then == f"chmod go= {path}"
    subprocess.run(found.then.split(), check=True)
    assert looked(path, clock)["modes"].ok


def test_a_disk_that_is_nearly_full_is_a_problem(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ROOM", 2**60)
    assert "are free" in problems(store.door.path, clock)["room"]


def test_a_log_that_nobody_can_empty_is_a_problem(
    store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LARGE", 0)
    store.memories.remember("in the log", agent="one")
    assert "The log has" in problems(store.door.path, clock)["log"]


def test_a_newer_schema_is_read_and_a_file_of_somebody_else_is_a_problem(
    store: MemoryStore, clock: Clock, tmp_path: Path
) -> None:
    with store.door.write() as db:
        db.execute("INSERT INTO migration VALUES('memory', 99, 0)")
    found = looked(store.door.path, clock)["schema"]
    assert found.ok
    assert "newer version" in found.then
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE something(x)")
    db.close()
    assert "no tables of the memory" in problems(other, clock)["schema"]


def test_a_copy_of_a_migration_is_worth_knowing(store: MemoryStore, clock: Clock) -> None:
    store.door._back_up("memory-1")
    found = looked(store.door.path, clock)["copies"]
    assert found.ok
    assert "memory.db.before-memory-1" in found.text


def test_an_index_that_says_something_else_is_a_problem_and_its_remedy_helps(store: MemoryStore, clock: Clock) -> None:
    store.memories.remember("the target leaks", agent="one")
    with store.door.write() as db:
        db.execute("DROP TRIGGER memory_changed")
        db.execute("UPDATE memory SET body = 'something else'")
    found = looked(store.door.path, clock)["index"]
    assert not found.ok
    with store.door.write() as db:
        db.execute(found.then.partition(" makes")[0])
    assert looked(store.door.path, clock)["index"].ok


def test_rows_that_refer_to_nothing_are_a_problem(store: MemoryStore, clock: Clock) -> None:
    store.memories.remember("the target leaks", agent="one")
    store.door._writer.execute("PRAGMA foreign_keys=OFF")
    store.door._writer.execute("DELETE FROM agent")
    assert "row 1 of memory to agent" in problems(store.door.path, clock)["references"]


@pytest.mark.parametrize("damage", ["head", "middle"])
def test_a_damaged_file_is_a_problem_and_no_traceback(tmp_path: Path, clock: Clock, damage: str) -> None:
    path = tmp_path / "memory.db"
    with MemoryStore.open(path, "project") as store, store.ground.together():
        for number in range(300):
            store.memories.remember(f"memory {number} " * 30, agent="one")
    data = bytearray(path.read_bytes())
    start = 0 if damage == "head" else len(data) // 2
    data[start : start + 16_384] = b"\xa5" * 16_384
    path.write_bytes(data)
    assert "content" in problems(path, clock)


def test_somebody_who_writes_for_long_is_told_of(store: MemoryStore, clock: Clock) -> None:
    lock = FileLock(store.door.path.with_name("memory.db.lock"))
    lock.acquire()
    try:
        found = looked(store.door.path, clock)["index"]
    finally:
        lock.close()
    assert found.ok
    assert "somebody wrote" in found.text


def test_what_lies_unattended_is_counted(store: MemoryStore, clock: Clock) -> None:
    for number in range(3):
        store.messages.send("one", f"work {number}", to=["two"])
    store.messages.claim("two", by="worker", most=2, lease=10)
    store.messages.send("one", "for a second", to=["two"], expires=clock() + 1_000_000)
    store.reservations.reserve("dataset://churn", "one", seconds=10)
    assert looked(store.door.path, clock)["claims"].text.startswith("No ")
    clock.pass_by(60)
    store.prune()
    found = looked(store.door.path, clock)
    assert found["claims"].text.startswith("2 messages")
    assert found["dead letters"].text.startswith("1 messages")
    assert found["reservations"].text.startswith("1 reservations")
    assert all(found[name].ok and found[name].then for name in ("claims", "dead letters", "reservations"))


def test_a_look_loads_none_of_the_tables(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from orchestrator_memory.doctor import examine; "
        f"examine(Path({str(tmp_path / 'memory.db')!r})); assert 'sqlmodel' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
