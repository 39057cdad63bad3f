"""A front that only reads: the host behind it is the one of everybody, and what it keeps stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fronts import Front, front, host, kill
from fuzzing import counted
from served import environment

from mcp_orchestrator.server.tools import published

READING = [one.name for one in published() if one.annotations and one.annotations.read_only_hint]
STEP = {"name": "sum", "component": "toys", "capability": "add", "params": {"a": 1}}
CALLS: dict[str, dict[str, Any]] = {
    "initialize_orchestrator": {},
    "inspect_dataset": {"data": [{"x": 1, "y": 2}]},
    "run_ml_training_workflow": {"data": "builtin:iris", "target": "target"},
    "run_ml_evaluation_workflow": {"model": "m", "data": "builtin:iris"},
    "run_workflow": {"graph": {"name": "one", "steps": [STEP]}},
    "control_run": {"action": "cancel"},
    "invoke_ml_component": {"component": "toys", "capability": "add", "params": {"a": 1}},
    "remember": {"text": "A note of somebody who may not.", "agent": "eve"},
    "log_task": {"agent": "eve", "action": "start", "title": "x"},
    "share_context": {"agent": "eve", "set": {"phase": "x"}},
    "send_message": {"to": [], "body": "x", "agent": "eve"},
    "read_messages": {"agent": "eve"},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "orchestrator.toml").write_text('workers = 1\n[components]\ntoys = "toys"\n')
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    return tmp_path


def names(client: Front) -> list[str]:
    """Return the tools that a client is offered."""
    return [one["name"] for one in client.ask("tools/list")["tools"]]


@pytest.mark.requirement("safety.access")
@pytest.mark.parametrize("modern", [True, False], ids=["2026-07-28", "2025-11-25"])
@pytest.mark.slow
def test_a_front_that_only_reads_shares_the_host_and_changes_nothing(modern: bool, project: Path) -> None:
    home = project / ".mcp-orchestrator"
    with front(project, modern=modern) as other:
        other.begin()
        run: str = other.call("run_workflow", graph={"name": "one", "steps": [STEP]})["run_id"]
        leader = host(project)
        with front(project, modern=modern, options=["--read-only"]) as client:
            client.begin()
            assert host(project) == leader, "it is the same host"
            assert names(client) == READING
            assert names(other) == [one.name for one in published()], "others are offered as much as before"
            assert client.call("get_run", run_id=run)["status"] == "succeeded"
            before = counted(home)
            assert CALLS.keys() | set(READING) == {one.name for one in published()}
            for tool, given in CALLS.items():
                more = {"run_id": run} if tool == "control_run" else {}
                answer = client.ask("tools/call", {"name": tool, "arguments": {**given, **more}})
                assert answer["isError"], tool
                assert "[not_allowed] This server is read-only" in answer["content"][0]["text"], tool
            assert counted(home) == before

            kill(project)
            assert names(client) == READING, "the next host knows that it only reads"
            refused = client.ask("tools/call", {"name": "remember", "arguments": CALLS["remember"]})
            assert refused["isError"]
            assert [one["run_id"] for one in client.call("list_runs")["runs"]] == [run]
        assert other.call("remember", text="A note of somebody who may.", agent="ann")


def test_where_it_is_the_first_it_starts_the_host_for_all(project: Path) -> None:
    with front(project, options=["--read-only"]) as client:
        client.begin()
        assert names(client) == READING
        assert client.call("list_runs")["runs"] == []
        with front(project) as other:
            other.begin()
            assert other.call("invoke_ml_component", component="toys", capability="add", params={"a": 1})["result"] == 2
