"""Processes that want the same message or key, while they are killed; the full form is ``benchmarks/rivals.py``."""

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

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="forks")]


def rivals(what: str, folder: Path, *arguments: object) -> dict[str, Any]:
    """Run the rivals from a process of their own, from which it can fork."""
    command = [sys.executable, str(HERE / "rivals.py"), what, str(folder), *map(str, arguments)]
    package = str(Path(sys.modules[MemoryStore.__module__].__file__ or "").parents[1])
    ended = subprocess.run(command, env={"PYTHONPATH": package}, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def ownership(monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    """What judges the readers, as a module."""
    monkeypatch.syspath_prepend(str(HERE))
    yield importlib.import_module("ownership")
    sys.modules.pop("ownership", None)


def test_each_message_has_one_owner_at_a_time_and_is_worked_on_whoever_is_killed(tmp_path: Path) -> None:
    found = rivals("queue", tmp_path, "--messages", 300, "--kills", 12, "--seed", 3)
    assert found["findings"] == []
    assert (found["messages"], found["kills"]) == (300, 12)
    assert found["claimed"] > 300
    assert found["returned"] > 0


def test_merges_of_eight_processes_into_one_key_are_all_kept(tmp_path: Path) -> None:
    found = rivals("merges", tmp_path)
    assert found == {"merges": 400, "kept": 400, "version": 400, "findings": []}


def test_everybody_has_all_that_was_said_to_all_whenever_they_came(tmp_path: Path) -> None:
    assert rivals("broadcasts", tmp_path) == {"broadcasts": 300, "findings": []}


def line(what: str, fence: int, at: int, by: str = "a", **more: Any) -> dict[str, Any]:
    return {"what": what, "uid": "m", "fence": fence, "at": at, "by": by, **more}


GOOD = [
    line("claimed", 1, 0, until=10),
    line("begun", 1, 1),
    line("claimed", 2, 11, "b", until=20),
    line("begun", 2, 12, "b"),
    line("ending", 2, 15, "b"),
    line("done", 2, 16, "b", counted=1),
]
FAULTS = {
    "claimed twice with fence 2": [*GOOD, line("claimed", 2, 13, "c", until=30)],
    "had not claimed it": [*GOOD, line("begun", 3, 30, "c")],
    "while it was that of a": [*GOOD[:3], line("begun", 2, 9, "b"), *GOOD[4:]],
    "acknowledged 2 times": [*GOOD, line("ending", 1, 9), line("done", 1, 9, counted=1)],
    "claimed again after": [*GOOD, line("claimed", 3, 20, "c", until=30)],
    "never worked on": GOOD[:4],
    "went back from fence 2 to 1": [*GOOD, line("begun", 1, 30)],
}


def test_the_judge_finds_nothing_wrong_with_what_is_right(ownership: Any) -> None:
    assert ownership.findings(GOOD, {"m": "acked"}) == []


@pytest.mark.parametrize("what", FAULTS)
def test_the_judge_finds_what_is_wrong(ownership: Any, what: str) -> None:
    assert any(what in one for one in ownership.findings(FAULTS[what], {"m": "acked"}))


@pytest.mark.parametrize("state", ["unread", "claimed", "dead"])
def test_the_judge_finds_what_is_not_settled(ownership: Any, state: str) -> None:
    assert ownership.findings(GOOD, {"m": state}) == [f"m is {state}"]
