"""The database is what the classes of the tables say, however many make it at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.schema import CreateIndex, CreateTable

from orchestrator_memory.compiled import DIALECT
from orchestrator_memory.schema import STEPS
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.tables import Table

OPEN = """
import sys
from pathlib import Path
from orchestrator_memory.store import MemoryStore
with MemoryStore.open(Path(sys.argv[1]), "project") as store:
    store.agents.register(sys.argv[2])
"""


def declared() -> dict[str, str]:
    made: dict[str, str] = {}
    for table in Table.metadata.sorted_tables:
        made[table.name] = str(CreateTable(table).compile(dialect=DIALECT))
        made |= {str(one.name): str(CreateIndex(one).compile(dialect=DIALECT)) for one in table.indexes}
    return {name: " ".join(text.split()) for name, text in made.items()}


@pytest.mark.requirement("card.sqlmodel")
def test_the_steps_make_exactly_the_tables_that_the_classes_declare(store: MemoryStore) -> None:
    rows = store.door.read().execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    made = {row["name"]: " ".join(row["sql"].split()) for row in rows}
    wanted = declared()
    assert {name: made.get(name) for name in wanted} == wanted
    ours = {name for name in made if not name.startswith(("memory_words", "memory_terms", "sqlite_", "migration"))}
    assert ours - wanted.keys() == {"memory_added", "memory_removed", "memory_changed"}


def test_a_newer_database_is_read_and_not_written(tmp_path: Path) -> None:
    from orchestrator_memory.errors import ReadOnly

    path = tmp_path / "memory.db"
    with MemoryStore.open(path, "project") as store:
        store.agents.register("first")
        with store.door.write() as db:
            db.execute("INSERT INTO migration VALUES('memory', ?, 0)", (len(STEPS) + 1,))
    with MemoryStore.open(path, "project") as store:
        assert [one.name for one in store.agents.list()] == ["first"]
        with pytest.raises(ReadOnly, match="newer version"):
            store.agents.register("second")


@pytest.mark.slow
def test_six_processes_that_start_at_once_all_find_the_database_whole(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(path), f"agent-{number}"], stderr=subprocess.PIPE)
        for number in range(6)
    ]
    problems = [one.communicate(timeout=120)[1].decode() for one in started]
    assert [one.returncode for one in started] == [0] * 6, problems
    with MemoryStore.open(path, "project") as store:
        assert len(store.agents.list()) == 6


def test_the_files_are_for_their_owner_alone(store: MemoryStore) -> None:
    for path in (
        store.door.path,
        store.door.path.with_name("memory.db-wal"),
        store.door.path.with_name("memory.db.lock"),
    ):
        assert path.stat().st_mode & 0o077 == 0, path
