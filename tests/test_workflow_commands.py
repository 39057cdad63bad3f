"""Workflows, graphs and schedules from a terminal and over MCP; the examples of docs/workflows.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from served import TOYS, facts, served, text
from terminal import answer, ask

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.workflows import WORKFLOWS
from mcp_orchestrator.workflows.catalog import Catalog
from mcp_orchestrator.workflows.checking import check
from mcp_orchestrator.workflows.graph import Step, read
from mcp_orchestrator.workflows.offers import EXAMPLE
from mcp_orchestrator.workflows.templates import templates

pytestmark = pytest.mark.anyio
ADD: dict[str, Any] = {
    "inputs": {"n": {"type": "integer"}},
    "steps": [
        {"name": "one", "component": "toys", "capability": "add", "params": {"a": {"$input": "n"}}},
        {"name": "two", "component": "toys", "capability": "add", "params": {"a": {"$from": "one"}, "b": 10}},
    ],
    "outputs": {"sum": {"$from": "two"}},
}
PAGE = Path(__file__).parents[1] / "docs" / "workflows.md"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "orchestrator.toml").write_text('workers = 2\n[components]\ntoys = "toys"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def graph(folder: Path, content: object = ADD) -> str:
    (folder / "graph.json").write_text(json.dumps(content))
    return "graph.json"


@pytest.mark.parametrize(("command", "code", "value"), [("approve", Exit.OK, 11), ("refuse", Exit.OK, None)])
def test_a_person_answers_what_a_run_asks_and_it_goes_on(
    project: Path, command: str, code: int, value: int | None
) -> None:
    asking = {
        "steps": [
            {"name": "go", "approval": "Shall it be added?"},
            {"name": "sum", "component": "toys", "capability": "add", "params": {"a": 1, "b": 10}, "after": ["go"]},
        ],
        "outputs": {"sum": {"$from": "sum", "else": None}},
    }
    waiting = answer("run", graph(project, asking))
    assert waiting["status"] == "waiting"
    assert [one["question"] for one in answer("approvals")] == ["Shall it be added?"]
    short = waiting["run_id"][:8]
    assert "no question 'no'" in ask(command, short, "no").stderr
    ended = answer(command, short, "--note", "as agreed", code=code)
    assert ended["outputs"] == {"sum": value}
    assert answer("approvals") == []
    assert "asks nothing" in ask(command, short).stderr


# A terminal ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_workflows_and_templates_are_listed_and_described() -> None:
    names = {one["name"]: one["kind"] for one in answer("workflows")}
    assert {"train": "workflow", "custom": "workflow", "template:train": "template"}.items() <= names.items()
    assert [one["name"] for one in answer("workflows", "--query", "labelled drifted")] == ["evaluate"]
    assert "may be left out" in ask("workflows", "train").output
    assert json.loads(ask("workflows", "template:train").output) == templates()["template:train"].model_dump(
        mode="json"
    )
    assert "Example of a graph" in ask("workflows", "custom").output
    assert "no workflow 'trane'. Did you mean 'train'" in ask("workflows", "trane").output


@pytest.mark.slow
def test_a_graph_from_a_file_is_checked_and_run(project: Path) -> None:
    name = graph(project)
    assert answer("run", name, "--check") == {"workflow": "custom", "valid": True, "steps": ["one", "two"]}
    assert "It can be run: one -> two" in ask("run", name, "--check").output
    found = answer("run", name, "--inputs", '{"n": 5}')
    assert found["status"] == "succeeded"
    assert found["outputs"] == {"sum": 16}
    shown = ask("run", "-", "--inputs", '{"n": 5}', input=json.dumps(ADD))
    assert '"sum": 16' in shown.output


def test_a_graph_that_is_wrong_is_refused_with_all_that_is_wrong(project: Path) -> None:
    wrong = {"steps": [{**ADD["steps"][0], "params": {"x": 1}}, {**ADD["steps"][1], "capability": "sub"}]}
    result = ask("run", graph(project, wrong), "--check")
    assert result.exit_code == 2
    for line in ("steps[0].params.x: is unknown", "steps[0].params.a: is required", "steps[1]: There is no capability"):
        assert line in result.output
    assert ask("run", graph(project, wrong)).exit_code == 2
    assert answer("runs") == []
    assert ask("run", "nothing", "--check").exit_code == 3
    assert ask("run", "train", "--check", "--inputs", '{"data": "x"}').exit_code == 2


@pytest.mark.slow
def test_a_schedule_is_made_listed_run_and_removed(project: Path) -> None:
    name = graph(project)
    [made] = answer("schedules", "add", "night", "30 3 * * *", name, "--inputs", '{"n": 5}', "--zone", "Europe/Berlin")
    assert made["next"][10:16] == "T03:30"
    assert [one["name"] for one in answer("schedules", "list")] == ["night"]
    assert answer("schedules", "pause", "night")[0]["enabled"] is False
    assert "paused" in ask("schedules", "list").output
    assert answer("schedules", "resume", "night")[0]["enabled"] is True
    found = answer("schedules", "run", "night")
    assert found["outputs"] == {"sum": 16}
    assert answer("schedules", "list")[0]["last_run"] == found["run_id"]
    assert answer("schedules", "remove", "night") == {"removed": "night"}
    assert ask("schedules", "remove", "night").exit_code == 3
    assert ask("schedules", "add", "x", "30 3 * *", name, "--inputs", '{"n": 5}').exit_code == 2
    assert ask("schedules", "add", "x", "30 3 * * *", name).exit_code == 2, "an input is missing"
    assert ask("schedules", "add", "x", "30 3 * * *", "nothing").exit_code == 3
    assert answer("schedules", "list") == []


# Over MCP ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("custom.graph")
async def test_an_agent_finds_reads_and_runs_workflows_and_graphs(tmp_path: Path) -> None:
    async with served(Settings.load(tmp_path, components=TOYS, workers=2)) as server:
        found = await server.call("find_ml_components", query="graph")
        assert "custom" in {one["name"] for one in found["components"]}
        [template] = (await server.call("find_ml_components", name="template:evaluate"))["components"]
        assert not check(read(template["capabilities"]["graph"]), catalog(Settings.load(tmp_path)))
        [custom] = (await server.call("find_ml_components", name="custom"))["components"]
        assert custom["capabilities"]["example"] == EXAMPLE
        assert set(custom["capabilities"]["spec"]["$defs"]["Step"]["properties"]) == set(Step.model_fields)
        done = await server.call("run_workflow", graph=ADD, inputs={"n": 5}, wait_seconds=50)
        assert (done["status"], done["outputs"]) == ("succeeded", {"sum": 16})
        assert [one["name"] for one in done["steps"]] == ["one", "two"]
        refused = await server.refusal("run_workflow", graph=ADD, inputs={"m": 5})
        assert "inputs.m: the graph has no such input" in refused
        assert "inputs.n: is required" in refused
        assert "either the name of a workflow, or a graph" in await server.refusal("run_workflow")
        named = await server.client.call_tool("run_workflow", {"workflow": "template:trian"})
        assert "Did you mean 'template:train'" in text(named)
        server.go.set()
        rows = [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
        by_name = {"workflow": "train", "inputs": {"data": rows, "target": "y"}, "wait_seconds": 50}
        assert facts(await server.client.call_tool("run_workflow", by_name))["workflow"] == "train"


def catalog(settings: Settings) -> Catalog:
    return Catalog(Registry(settings.components), {one.name: one for one in WORKFLOWS(settings)})


def test_the_example_for_agents_can_be_run(settings: Settings) -> None:
    assert not check(read(EXAMPLE), catalog(settings), {"data": "builtin:iris", "target": "target"})


# The page ------------------------------------------------------------------------------------------------------------


@pytest.mark.checkout
@pytest.mark.slow
async def test_the_graph_of_the_page_runs_as_it_is_printed(project: Path) -> None:
    [printed] = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    inputs = {"data": "builtin:iris", "target": "target"}
    async with Orchestrator(project, in_process=True).running() as orchestrator:
        for more, kept in (({}, True), ({"at_least": 1}, False)):
            spec = {"graph": json.loads(printed), "inputs": {**inputs, **more}}
            run = await orchestrator.wait(await orchestrator.submit("custom", spec), 120)
            assert run.status == "succeeded", run.error
            found = run.model_dump()["outputs"]
            assert all(0.8 < one < 1 for one in found["accuracies"])
            assert (found["kept"], found["version"]) == (kept, 1 if kept else None)


@pytest.mark.checkout
def test_the_page_says_what_is_wrong_as_the_command_does(project: Path) -> None:
    step = {"name": "split", "component": "training_data_loader", "capability": "split"}
    train = {"name": "train", "component": "ml_integration", "capability": "train"}
    broken = [
        {**step, "params": {"data": "builtin:iris", "tset": 0.3}},
        {**train, "params": {"data": {"$from": "split.trian.uri"}, "target": "target"}},
    ]
    result = ask("run", graph(project, {"steps": broken}), "--check")
    assert result.output.strip() in PAGE.read_text("utf-8")


@pytest.mark.checkout
def test_the_page_tells_of_every_field_of_a_step() -> None:
    page = PAGE.read_text("utf-8")
    assert not [name for name in Step.model_fields if f"`{name}`" not in page]
