"""Eight processes that write at once and are killed at random moments; the full form is ``benchmarks/hammer.py``."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_memory.store import MemoryStore

HERE = Path(__file__).parent
NAMES = [f"worker{number}" for number in range(8)]
FAULTS = {
    "DELETE FROM memory WHERE id = (SELECT min(id) FROM memory)": "a memory is not there",
    "INSERT INTO memory_words(memory_words) VALUES('delete-all')": "a memory is not found by its words",
    "DELETE FROM delegation WHERE task_id = (SELECT min(id) FROM task)": "a task is half",
    "UPDATE task SET key = 'x' WHERE id = (SELECT min(id) FROM task)": "a task is there twice, or nobody wrote it",
    "DELETE FROM delivery WHERE message_id = (SELECT min(id) FROM message)": "a message is not with those",
    "UPDATE delivery SET state = 'unread' WHERE state = 'acked'": "an acknowledgement is not there",
    """UPDATE context SET value = json_set(value, '$.total', 1)""": "merges of the shared context were lost or doubled",
    "UPDATE reservation SET released_at = released_at + 60000000": "two had the same at once",
}

pytestmark = pytest.mark.slow


@pytest.fixture
def wreckage(monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    """What is left after the hammer, as a module."""
    monkeypatch.syspath_prepend(str(HERE))
    yield importlib.import_module("wreckage")
    for name in ("wreckage", "blows"):
        sys.modules.pop(name, None)


def hammered(*arguments: object) -> dict[str, Any]:
    """Run the hammer in a process of its own, from which it can fork."""
    command = [sys.executable, str(HERE / "hammer.py"), *map(str, arguments)]
    package = str(Path(sys.modules[MemoryStore.__module__].__file__ or "").parents[1])
    ended = subprocess.run(command, env={"PYTHONPATH": package}, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.requirement("memory.together")
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_what_was_acknowledged_is_there_once_and_whole_whoever_is_killed(tmp_path: Path, wreckage: Any) -> None:
    found = hammered(tmp_path, "--kills", 16, "--pause", 0.1, "--seed", 5)
    assert found["findings"] == []
    assert found["writes"].keys() == {"acknowledge", "merge", "remember", "reserve", "send", "task"}
    assert found["again"] > 0
    # The same look finds every fault that is put in.
    for statement, what in FAULTS.items():
        with MemoryStore.open(tmp_path / "memory.db", "hammer") as store:
            db = store.door.begin(wait=True)
            db.execute(statement)
            said = wreckage.looked(db, wreckage.notes(tmp_path, NAMES))
            store.door.end(commit=False)
        assert any(one.startswith(what) for one in said), (what, said[:3])


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_hundred_and_twenty_first_starts_at_once_all_succeed(tmp_path: Path) -> None:
    assert hammered(tmp_path, "--starts", 15) == {"starts": 120, "findings": []}
