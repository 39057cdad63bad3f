"""The doctor: what it finds on a machine that is fine, and on machines that are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from journaled import claimed, submitted

from mcp_orchestrator.cli import machine
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.machine import Finding, bounds
from mcp_orchestrator.cli.main import main
from mcp_orchestrator.component import Check, Context
from mcp_orchestrator.core.health import examine
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.registry import Component, Registry
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.settings import Settings
from orchestrator_memory.sqlite import sqlite3


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state home of a project that is the working folder; it does not exist yet."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".mcp-orchestrator"


def looked(home: Path) -> dict[str, Finding]:
    """Return what is found without starting a worker."""
    return {one.check: one for one in machine.machine(Settings.load(home.parent))}


def doctor(code: int) -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == code, result.output
    return {one["check"]: one for one in json.loads(result.stdout)}


def test_a_worker_is_really_started_and_nothing_is_left_of_it(home: Path) -> None:
    found = doctor(Exit.OK)
    assert found["worker"]["state"] == "ok"
    assert found["components"]["state"] == "ok"
    assert found["home"]["state"] == "ok"
    assert not home.exists(), "a look changes nothing"


def test_a_worker_that_cannot_start_is_a_problem_with_its_last_words(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_orchestrator.core.processes.sys.executable", "/bin/false")
    found = doctor(Exit.UNEXPECTED)
    assert found["worker"]["state"] == "problem"


def test_each_line_for_people_says_how_it_is_and_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_orchestrator.cli.doctor.worker", lambda _settings: Finding("worker", "problem", "w", "t"))
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == Exit.UNEXPECTED
    assert "problem  worker: w\n         -> t" in result.stdout


def test_settings_that_cannot_be_read_are_a_problem(home: Path) -> None:
    (home.parent / "orchestrator.toml").write_text("worker = 3\n")
    found = doctor(Exit.UNEXPECTED)
    assert found["settings"]["state"] == "problem"
    assert "workers" in found["settings"]["text"]


def test_packages_outside_their_bounds_are_named_with_the_line_that_mends_it() -> None:
    found = list(bounds(["click>=99", "nobody-has-this>=1,<2", "anyio>=4", 'pytest>=1; extra == "dev"']))
    click, missing, extra = found
    assert click.state == missing.state == "problem"
    assert version("click") in click.text
    assert click.then == 'pip install "click>=99"'
    assert "not installed" in missing.text
    assert (extra.check, extra.state) == ("extra dev", "ok")


def test_packages_within_their_bounds_are_counted_and_a_missing_extra_is_a_note() -> None:
    core, extra = bounds(["anyio>=4", 'click>=8; python_version > "3"', 'absent>=1; extra == "more"'])
    assert (core.state, core.text.split()[0]) == ("ok", "2")
    assert (extra.check, extra.state) == ("extra more", "note")
    assert "[more]" in extra.then


@pytest.mark.parametrize(("free", "state"), [(10**8, "problem"), (2 * 10**9, "note"), (10**11, "ok")])
def test_a_disk_without_room_is_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _place: SimpleNamespace(free=free))
    assert looked(home)["disk"].state == state


@pytest.mark.parametrize(("free", "state"), [(10**8, "problem"), (10**9, "note"), (10**11, "ok")])
def test_a_machine_without_memory_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=10**12, available=free))
    monkeypatch.setattr(machine, "_group_limit", lambda: None)
    assert looked(home)["memory"].state == state


@pytest.mark.parametrize(("safe", "state"), [((3, 0, 0), "ok"), ((99, 0, 0), "note")])
def test_an_old_sqlite_is_a_note(
    home: Path, monkeypatch: pytest.MonkeyPatch, safe: tuple[int, int, int], state: str
) -> None:
    monkeypatch.setattr(machine, "SAFE_SQLITE", safe)
    found = looked(home)["sqlite"]
    assert found.state == state
    assert sqlite3.sqlite_version in found.text


@pytest.mark.parametrize(("kind", "state"), [("nfs4", "problem"), ("ext4", "ok")])
def test_a_home_on_a_network_file_system_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(home.parent), fstype=kind)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_how: mounts)
    assert looked(home)["file system"].state == state


def test_a_home_that_cannot_be_made_is_a_problem(home: Path) -> None:
    home.touch()
    found = looked(home)["home"]
    assert found.state == "problem"
    assert "MCP_ORCHESTRATOR_HOME" in found.then


def test_a_home_that_others_can_read_is_a_note(home: Path) -> None:
    home.mkdir(mode=0o755)
    assert looked(home)["home"].state == "note"
    home.chmod(0o700)
    assert looked(home)["home"].state == "ok"


def test_a_damaged_database_is_a_problem(home: Path) -> None:
    from mcp_orchestrator.cli.doctor import state

    Journal(home)
    assert {one.state for one in state(home)} == {"ok"}
    (home / "memory.db").write_bytes(b"not a database" * 100)
    [found] = state(home)
    assert found.state == "problem"
    assert "memory.db" in found.text


def test_runs_and_locks_that_a_killed_process_left_are_named_with_what_to_do(home: Path) -> None:
    from mcp_orchestrator.cli.doctor import state

    journal = Journal(home)
    run = submitted(journal)
    journal.owners.enter()
    claimed(journal, run)
    assert {one.check for one in state(home)} == {"database", "runs"}, "its process lives"
    assert journal.owners._lock is not None
    journal.owners._lock.close()  # as the kernel does when a process is killed
    found = {one.check: one for one in state(home)}
    assert found["run"].state == found["owners"].state == "note"
    assert f"resume {run[:8]}" in found["run"].then
    assert journal.run(run).status is Status.RUNNING, "a look changes nothing"


# Health of components ------------------------------------------------------------------------------------------------


def right(ctx: Context) -> Iterator[Check]:
    """One and one."""
    yield Check("sum", 1 + 1, 2)


def wrong(ctx: Context) -> Iterator[Check]:
    """A slip."""
    yield Check("sum", 1 + 1, 2)
    yield Check("root", 2**0.5, 1.5, within=0.01)


def silent(ctx: Context) -> Iterator[Check]:
    """Nothing."""
    yield from ()


@pytest.mark.parametrize(
    ("answer", "healthy", "said"),
    [
        (right, True, "1 answers"),
        (wrong, False, "root: got 1.41"),
        (silent, False, ""),
        (None, None, "no known answer"),
    ],
)
def test_a_component_is_healthy_when_its_known_answers_come_out(
    ctx: Context, answer: Any, healthy: bool | None, said: str
) -> None:
    import anyio

    from mcp_orchestrator.component import About
    from mcp_orchestrator.core.invoke import invoke

    one = Component("made", "up", About(tier=1), "Made up.", {}, answer, "here")
    registry = Registry()
    registry._found = {"made": one}

    async def call(component: str, capability: str, params: dict[str, Any]) -> Any:
        return invoke(registry, ctx, component, capability, params)

    [found] = anyio.run(examine, [one], call)
    assert found.healthy is healthy
    assert said in found.detail


def test_a_component_without_its_library_is_neither_healthy_nor_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    from mcp_orchestrator.component import About

    one = Component("made", "up", About(tier=1, libraries=("absent",), extra="more"), "", {}, right, "here")

    async def call(component: str, capability: str, params: dict[str, Any]) -> Any:
        return one.capability(capability)

    [found] = anyio.run(examine, [one], call)
    assert found.healthy is None
    assert "[more]" in found.detail
