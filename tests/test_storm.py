"""Processes of every kind killed at random moments while clients work: the short form of ``benchmarks/storm.py``."""

from __future__ import annotations

import fcntl
import importlib
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.core.owners import Owners
from mcp_orchestrator.settings import Settings

ROOT = Path(__file__).parent.parent
OURS = ("storm", "aftermath", "crowd")


@pytest.fixture
def storm(monkeypatch: pytest.MonkeyPatch) -> Generator[ModuleType]:
    """The benchmark, as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("storm")
    for name in OURS:
        sys.modules.pop(name, None)


@pytest.mark.slow
@pytest.mark.checkout
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of the storm in /proc")
@pytest.mark.requirement("engine.durable")
def test_whatever_is_killed_no_run_is_lost_no_finished_step_runs_again_and_no_process_is_left(
    storm: Any, tmp_path: Path
) -> None:
    told = storm.storm(tmp_path, kills=25, seed=3, seconds=120, pause=0.4)
    assert told.findings == []
    assert told.kills.total() == 25
    assert told.runs["succeeded"] > 10
    assert told.attempts > told.steps / 2
    assert _planted(tmp_path) == {
        "a finished step began again",
        "a step was completed twice",
        "an acknowledged run is not there",
        "attempt not ended",
        "one submission made several runs",
        "a run has not ended",
    }


def _planted(project: Path) -> set[str]:
    """Spoil what a storm left in every way that must not be, and return what is found."""
    journal = Journal(Settings.load(project).home)
    with journal.door.write() as db:
        text = "SELECT run, step, at FROM event WHERE kind='step_done' AND step='first' ORDER BY seq LIMIT 1"
        run, step, at = db.execute(text).fetchone()
        emit(db, run, step, "step_done", {})
        db.execute("INSERT INTO attempt(run, step, number, status, asked) VALUES(?, ?, 99, 'running', 0)", (run, step))
        text = "INSERT INTO run(id, workflow, spec, status, created) SELECT 'x', workflow, spec, 'running', 0 FROM run"
        db.execute(f"{text} WHERE id=?", (run,))
    with (project / "truth").open("a") as file:
        file.write(f"{run} {step} 99 1 begun {at + 10**10}\n")
    with (project / "notes").open("a") as file:
        file.write("ticket nobody\n")
    try:
        return {one.what for one in importlib.import_module("aftermath").findings(project, journal)}
    finally:
        journal.close()


@pytest.mark.skipif(os.name != "posix", reason="locks of another kind")
def test_a_dead_owner_is_dead_for_all_who_look_at_once_and_leaves_no_file_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "owners"
    code = f"""
import os
from pathlib import Path
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.core.owners import Owners
from mcp_orchestrator.settings import Settings
one = Owners(Path({str(folder)!r}))
one.enter()
print(one.name, flush=True)
input()
"""
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout
        name = other.stdout.readline().strip()
        ours = Owners(folder)
        assert ours.alive(name)
        other.kill()
    with (folder / name).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not ours.alive(name)
    ours.enter()
    assert [path.name for path in folder.iterdir()] == [ours.name]
    assert Owners(folder).alive(ours.name)
    ours.leave()
    assert not list(folder.iterdir())
