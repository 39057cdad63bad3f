"""The server's tools: what they publish, accept, answer and refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from journaled import submitted
from served import ROWS, TOYS, TRAINED, Era, burning, environment, gone, served

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.journal import runs
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.errors import NotReady
from mcp_orchestrator.server.concise import concise, paged
from mcp_orchestrator.server.http import listen
from mcp_orchestrator.server.lean import LeanTool
from mcp_orchestrator.server.shell import INSTRUCTIONS
from mcp_orchestrator.server.tools import published
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Estimate

pytestmark = pytest.mark.anyio
TOOLS = published()
ERAS: list[Era] = ["auto", "legacy"]
READERS = {
    "get_orchestrator_status",
    "get_run",
    "list_runs",
    "find_ml_components",
    "find_models",
    "predict",
    "recall_memory",
}
MEMORY = {"recall_memory", "remember", "log_task", "share_context", "send_message", "read_messages"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, components=TOYS, workers=2)


# What is published ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_describes_itself_and_each_argument_and_forbids_others(tool: LeanTool) -> None:
    assert tool.title
    assert 40 <= len(tool.description) <= 2048
    assert tool.parameters["additionalProperties"] is False
    assert all(one.get("description") for one in tool.parameters["properties"].values())
    assert tool.output_schema
    assert tool.output_schema["type"] == "object"
    assert '"title": "' not in json.dumps([tool.parameters, tool.output_schema])
    assert "null" not in json.dumps(tool.parameters)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_says_truly_what_it_does_to_the_world(tool: LeanTool) -> None:
    hints = tool.annotations
    assert hints
    assert hints.read_only_hint is (tool.name in READERS)
    assert hints.destructive_hint is (tool.name in {"control_run", "invoke_ml_component", "run_workflow"})
    assert hints.idempotent_hint is (tool.name in READERS | {"initialize_orchestrator", "inspect_dataset"})
    assert hints.open_world_hint is False
    assert tool.meta is not None
    assert (tool.meta.keys() - {"ui"} == {"anthropic/alwaysLoad"}) != bool(tool.meta.get("anthropic/searchHint"))


def test_the_list_of_tools_costs_a_model_less_than_3500_tokens() -> None:
    shown = [{"name": one.name, "description": one.description, "inputSchema": one.parameters} for one in TOOLS]
    size = len(json.dumps(shown, separators=(",", ":")).encode())
    assert size <= 3400 * 4.2, "JSON takes more than 4.2 bytes for a token of o200k (4.37 were measured of this)"
    memory = [one for one in shown if one["name"] in MEMORY]
    assert len(json.dumps(memory, separators=(",", ":")).encode()) <= 1100 * 4.36, "as measured of these"


def test_the_instructions_begin_with_the_way_to_begin_and_are_not_cut() -> None:
    assert INSTRUCTIONS.partition("\n")[0].startswith("Begin: inspect_dataset")
    assert len(INSTRUCTIONS.encode()) <= 2048
    named = set(re.findall(r"\b(?:run|get|find|list|control|invoke|inspect)_\w+", INSTRUCTIONS)) - {"run_id"}
    assert named <= {one.name for one in TOOLS}


@pytest.mark.parametrize("era", ERAS)
async def test_the_published_list_is_what_a_client_receives(settings: Settings, era: Era) -> None:
    async with served(settings, era) as server:
        listed = (await server.client.list_tools()).tools
        assert [(one.name, one.input_schema, one.output_schema) for one in listed] == [
            (one.name, one.parameters, one.output_schema) for one in TOOLS
        ]
        assert server.client.instructions == INSTRUCTIONS


def test_the_server_finds_and_describes_all_without_an_ml_library(tmp_path: Path) -> None:
    code = """
import sys, anyio
from mcp import Client
from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import build
async def main():
    async with Client(build(Orchestrator(sys.argv[1]))) as client:
        await client.list_tools()
        for name in ("get_orchestrator_status", "find_models", "list_runs", "find_ml_components"):
            assert not (await client.call_tool(name)).is_error, name
        for one in (await client.call_tool("find_ml_components")).structured_content["components"]:
            assert not (await client.call_tool("find_ml_components", {"name": one["name"]})).is_error
        assert not (await client.call_tool("find_ml_components", {"name": "train"})).is_error
anyio.run(main)
heavy = "joblib lightgbm matplotlib mlflow numpy optuna pandas pyarrow rich scipy sklearn skops statsmodels".split()
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_no_pattern_of_a_schema_takes_in_all_of_unicode(tmp_path: Path) -> None:
    """One such pattern with a repetition takes megabytes of the server's memory for its automaton."""
    orchestrator = Orchestrator(tmp_path)
    schemas: list[dict[str, Any]] = [one.schema for part in orchestrator.registry for one in part.capabilities.values()]
    schemas += [one.spec.model_json_schema() for one in orchestrator.engine.workflows.values()]
    patterns = re.findall(r'"pattern": "(.*?)"', json.dumps(schemas))
    assert patterns
    assert not [one for one in patterns if re.search(r"\\[wds]", one, re.IGNORECASE)]


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("mcp.unknown", "mcp.errors")
@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("run_ml_training_workflow", {"trails": 3}, r"trails: run_ml_training_workflow has no .*Did you mean 'trials'"),
        ("get_orchestrator_status", {"verbose": True}, r"verbose: get_orchestrator_status takes no arguments"),
        ("run_ml_training_workflow", {"data": ROWS}, r"target: is required. Give it to run_ml_training_workflow"),
        ("run_ml_training_workflow", {"trials": -1}, r"trials: must be a whole number of at least 1 \(given: -1\)"),
        ("run_ml_training_workflow", {"trials": "many"}, r"trials: must be a whole number .*\(given: 'many'\)"),
        ("run_ml_training_workflow", {"seconds": 0}, r"seconds: must be a number above 0 \(given: 0\)"),
        ("run_ml_training_workflow", {"target": ""}, r"target: must be a text that is not empty"),
        ("run_ml_training_workflow", {"data": 5}, r"data: must be a text or a list of objects \(given: 5\)"),
        ("run_ml_training_workflow", {"wait_seconds": 60}, r"wait_seconds: must be a number from 0 to 50"),
        ("run_ml_training_workflow", {"trials": 0, "seed": "x"}, r"trials: .* Also to be mended: seed"),
        ("run_ml_training_workflow", {"trials": 5, "spec": {"tuning": {"trials": 6}}}, r"trials: was given twice"),
        ("run_ml_training_workflow", {"spec": {"famlies": []}}, r"famlies: .*Did you mean 'families'"),
        ("run_ml_training_workflow", {"metric": "acuracy"}, r"acuracy.*accuracy"),
        ("run_ml_training_workflow", {"metric": "r2", "spec": {"task": "classification"}}, r"r2.*classification"),
        ("run_ml_evaluation_workflow", {"model": "churn", "data": ROWS}, r"There is no model 'churn'"),
        ("get_run", {"run_id": "0123456789"}, r"\[unknown_name\] There is no run '0123456789'.*list_runs"),
        ("get_run", {"run_id": "0123456789", "cursor": "-5"}, r"no run"),
        ("list_runs", {"cursor": "next"}, r"cursor: 'next' is not a cursor"),
        ("list_runs", {"cursor": "x" * 20_000}, r"cursor: 'x+ \[\.\.\.\] x+' is not .* or none\.$"),
        ("control_run", {"run_id": "012345", "action": "stop"}, r"action: 'stop' .*Allowed: cancel, pause, resume"),
        ("invoke_ml_component", {"component": "toy", "capability": "add"}, r"There is no component 'toy'.*'toys'"),
        ("invoke_ml_component", {"component": "toys", "capability": "ad"}, r"no capability of toys 'ad'.*'add'"),
        ("invoke_ml_component", {"component": "toys", "capability": "add", "params": {"a": "x"}}, r"a: .*integer"),
        ("invoke_ml_component", {"component": "toys", "capability": "add", "params": {"a": 1, "c": 2}}, r"c: toys.add"),
        (
            "invoke_ml_component",
            {"component": "os", "capability": "system", "params": {}},
            r"There is no component 'os'",
        ),
        ("find_ml_components", {"name": "toyz"}, r"There is no component 'toyz'. Did you mean 'toys'"),
        ("find_ml_components", {"query": "zeppelin"}, r"There is no component about 'zeppelin'"),
        ("predict", {"model": "m", "records": [{"x": 1}, 3]}, r"records.1: must be an object \(given: 3\)"),
        ("predict", {"model": "m", "records": [{}] * 201}, r"records: must be a list of objects with at most 200"),
    ],
)
async def test_a_bad_argument_is_refused_by_name_and_leaves_no_trace(
    settings: Settings,
    tool: str,
    arguments: dict[str, Any],
    said: str,
) -> None:
    whole = {"data": ROWS, "target": "y"} if tool == "run_ml_training_workflow" and "data" not in arguments else {}
    async with served(settings) as server:
        refusal = await server.refusal(tool, **{**whole, **arguments})
        assert re.search(said, refusal), refusal
        assert re.match(r"\[\w+\] ", refusal)
        assert "pydantic" not in refusal
        assert server.orchestrator.journal.runs() == []


async def test_what_nobody_foresaw_stays_in_the_log(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async with served(settings) as server:
        server.orchestrator.journal.runs = lambda **_: 1 / 0  # type: ignore[method-assign,assignment]
        refusal = await server.refusal("list_runs")
    [reference] = re.findall(r"reference (\w+)", refusal)
    assert refusal.startswith("[internal] list_runs met an unexpected ZeroDivisionError.")
    assert "division by zero" not in refusal
    assert "Traceback" not in refusal
    record = next(one for one in caplog.records if reference in one.getMessage())
    assert record.exc_info


async def test_a_crash_in_a_worker_names_the_component_and_not_the_traceback(settings: Settings) -> None:
    async with served(settings) as server:
        refusal = await server.refusal("invoke_ml_component", component="odd", capability="secretive")
        assert refusal.startswith("[step_failed] RuntimeError")
        assert "Traceback" not in refusal


def test_a_port_that_is_taken_is_said_so() -> None:
    with listen("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(NotReady, match="cannot be used"):
            listen("localhost", first.getsockname()[1])


# What is answered ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("mcp.invoke")
@pytest.mark.parametrize("era", ERAS)
async def test_a_call_of_a_component_answers_with_its_result(settings: Settings, era: Era) -> None:
    async with served(settings, era) as server:
        call = {"component": "toys", "capability": "add"}
        assert await server.call("invoke_ml_component", **call, params={"a": 2, "b": 5}) == {**call, "result": 7}
        assert await server.call("invoke_ml_component", **call, params='{"a": 2}') == {**call, "result": 3}


async def test_numbers_that_json_does_not_have_are_null(settings: Settings) -> None:
    async with served(settings) as server:
        odd = await server.call("invoke_ml_component", component="odd", capability="undefined")
        assert odd["result"] == {"nan": None, "inf": None, "one": 1.0}


@pytest.mark.requirement("mcp.initialize")
async def test_initializing_twice_is_initializing_once(settings: Settings) -> None:
    async with served(settings) as server:
        first = await server.call("initialize_orchestrator")
        again = await server.call("initialize_orchestrator")
        assert (first.pop("created"), again.pop("created")) == (True, False)
        assert first == again
    async with served(settings) as server:
        assert (await server.call("initialize_orchestrator"))["created"] is False


@pytest.mark.requirement("registry.search")
async def test_components_are_found_by_words_and_described_by_name(settings: Settings) -> None:
    async with served(settings) as server:
        names = [one["name"] for one in (await server.call("find_ml_components"))["components"]]
        assert {"toys", "odd"} <= set(names)
        found = (await server.call("find_ml_components", query="json numbers"))["components"]
        assert [one["name"] for one in found] == ["odd"]
        [toys] = (await server.call("find_ml_components", name="toys"))["components"]
        add = toys["capabilities"]["add"]
        assert add["description"] == "Add two numbers."
        assert add["params"]["properties"]["b"] == {"type": "integer", "default": 1}
        [train] = (await server.call("find_ml_components", name="train"))["components"]
        assert {"data", "target", "tuning"} <= train["capabilities"]["spec"]["properties"].keys()


async def test_models_are_found_by_name_and_by_words(settings: Settings) -> None:
    async with served(settings) as server:
        assert (await server.call("find_models"))["models"] == []
        versions = server.orchestrator.versions
        for run in ("one", "two"):
            versions.register("churn", TRAINED, metrics={"auc": Estimate(value=0.9, low=0.8, high=1)}, run=run)
        versions.promote("churn", 1)
        versions.register("price", TRAINED.model_copy(update={"sha256": "b" * 64}))
        shown = (await server.call("find_models"))["models"]
        assert {(one["name"], one["version"], one["versions"]) for one in shown} == {("churn", 1, 2), ("price", 1, 1)}
        champion = (await server.call("find_models", query="champion forest"))["models"]
        assert [(one["name"], one["aliases"]) for one in champion] == [("churn", ["champion"])]
        history = (await server.call("find_models", name="churn"))["models"]
        assert [one["version"] for one in history] == [2, 1]
        assert history[1]["metrics"] == {"auc": {"value": 0.9, "low": 0.8, "high": 1.0}}
        assert history[0]["features"] == ["age"]


async def test_of_a_wide_table_the_target_and_the_first_columns_are_shown(settings: Settings) -> None:
    names = [f"c{number}" for number in range(99)]
    (settings.project / "wide.csv").write_text(
        "\n".join(",".join(row) for row in [names, *[list("1234567890" * 9 + "123456789")] * 3])
    )
    async with served(settings) as server:
        seen = await server.call("inspect_dataset", data="wide.csv", target="c98")
        assert [one["name"] for one in seen["profile"]["columns"]] == [*names[:60], "c98"]
        assert (seen["columns"], seen["columns_left_out"]) == (99, 38)
        params = {"data": seen["uri"]}
        whole = await server.call(
            "invoke_ml_component", component="training_data_loader", capability="profile", params=params
        )
        assert [one["name"] for one in whole["result"]["columns"]] == names


# Runs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("mcp.long", "engine.progress")
@pytest.mark.parametrize("era", ERAS)
async def test_a_long_run_is_waited_for_told_of_and_finished_later(settings: Settings, era: Era) -> None:
    told: list[float] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        del total, message
        told.append(progress)

    async with served(settings, era) as server:
        started = await server.call("run_ml_training_workflow", data=ROWS, target="wait", wait_seconds=0)
        run = started["run_id"]
        assert started["status"] in {"queued", "running"}
        assert started["model"] is None
        assert f'get_run(run_id="{run}"' in started["next"][0]
        with anyio.move_on_after(0.5):  # the client gives up: the waiting ends, the run does not
            await server.client.call_tool("get_run", {"run_id": run}, progress_callback=tell)
        assert (await server.call("get_run", run_id=run[:8], wait_seconds=0))["status"] == "running"
        server.go.set()
        ended = await server.call("get_run", run_id=run)
        assert ended["status"] == "succeeded"
        assert told == sorted(set(told))
        assert told
        assert [(step["name"], step["status"]) for step in ended["steps"]] == [("begin", "done"), ("tune", "skipped")]
        assert ended["metrics"] == {"accuracy": {"value": 0.9, "low": 0.8, "high": None}}
        assert {"degraded", "baseline", "leaderboard", "model", "artifacts", "next"} <= ended.keys()


async def test_a_run_is_shown_briefly_and_in_full_by_pages(settings: Settings) -> None:
    async with served(settings) as server:
        brief = await server.call("run_ml_training_workflow", data=ROWS, target="y", trials=7, seed=3)
        assert [one["rank"] for one in brief["leaderboard"]] == [1, 2, 3, 4, 5]
        assert brief["artifacts"] == [{"name": "card.md", "path": "/x/card.md"}]
        ranks, cursor = [], None
        while True:
            page = await server.call("get_run", run_id=brief["run_id"], detail="full", cursor=cursor)
            ranks += [one["rank"] for one in page["leaderboard"]]
            if (cursor := page.get("next_cursor")) is None:
                break
        assert ranks == list(range(1, 121))
        assert page["spec"]["tuning"]["trials"] == 7
        assert page["spec"]["seed"] == 3
        resource = await server.client.read_resource(f"run://{brief['run_id']}")
        assert json.loads(resource.contents[0].text)["artifacts"][0]["bytes"] == 9  # type: ignore[union-attr]


def test_a_brief_evaluation_keeps_what_moved_and_the_worst_slices() -> None:
    columns = [{"column": f"c{one}", "verdict": "drifted" if one in {80, 90} else "steady"} for one in range(99)]
    whole: dict[str, Any] = {
        "drift": {"drifted": ["c80", "c90"], "columns": columns, "alpha": 0.01},
        "slices": [{"value": one} for one in range(30)],
        "calibration": {"brier": 0.1, "bins": [{"said": 0.5}]},
        "steps": [{"name": str(one)} for one in range(9)],
        "artifacts": [],
    }
    brief = concise(whole)
    assert [one["column"] for one in brief["drift"]["columns"]] == brief["drift"]["drifted"] == ["c80", "c90"]
    assert [one["value"] for one in brief["slices"]] == [0, 1, 2, 3, 4]
    assert brief["calibration"] == {"brier": 0.1}
    assert len(brief["steps"]) == 9
    assert len(whole["drift"]["columns"]) == 99
    first, following = paged(whole, 0)
    second, end = paged(whole, following or 0)
    assert first["drift"]["columns"] + second["drift"]["columns"] == columns
    assert first["slices"] == second["slices"] == whole["slices"]
    assert end is None


async def test_a_run_that_fails_late_is_an_error_with_all_that_is_known(settings: Settings) -> None:
    async with served(settings) as server:
        refusal = await server.refusal("run_ml_training_workflow", data=ROWS, target="late")
        [run] = server.orchestrator.journal.runs()
        for part in (
            "[data_rejected]",
            run.id,
            "column 'y'",
            "Give more rows",
            "Finished before: begin",
            "control_run",
        ):
            assert part in refusal
        seen = await server.call("get_run", run_id=run.id)
        assert (seen["status"], seen["error_code"]) == ("failed", "data_rejected")


async def test_a_run_that_crashes_names_its_log(settings: Settings) -> None:
    async with served(settings) as server:
        refusal = await server.refusal("run_ml_training_workflow", data=ROWS, target="crash")
        assert refusal.startswith("[step_failed]")
        [log] = re.findall(r"Its log is (\S+\.log)\.", refusal)
        assert "Traceback" in Path(log).read_text()
        assert "Traceback" not in refusal


async def test_a_call_of_a_component_that_the_client_gives_up_ends_its_processes(
    settings: Settings,
    tmp_path: Path,
) -> None:
    async with served(settings) as server, anyio.create_task_group() as group:
        burn = {"component": "toys", "capability": "burn", "params": {"folder": str(tmp_path)}}
        group.start_soon(server.client.call_tool, "invoke_ml_component", burn)
        processes = await burning(tmp_path)
        resources = (await server.call("get_orchestrator_status"))["resources"]
        assert [one["label"] for one in resources["granted"]] == ["toys.burn"]
        assert resources["cpus"]["used"] == resources["granted"][0]["cpus"] == 1
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await gone(processes)


async def test_a_run_knows_who_asked_for_it_and_how_soon_it_is_wanted(settings: Settings) -> None:
    async with served(settings) as server:
        await server.call("run_ml_training_workflow", data=ROWS, target="wait", wait_seconds=0, priority=3)
        [run] = server.orchestrator.journal.runs()
        assert (run.priority, run.fair, run.created_by) == (3, "mcp", "mcp")
        assert "from -10 to 10" in await server.refusal(
            "run_ml_training_workflow", data=ROWS, target="wait", priority=11
        )
        await server.call("control_run", run_id=run.id, action="cancel")


@pytest.mark.requirement("mcp.status", "engine.states")
async def test_a_cancelled_run_stays_so_and_resuming_it_makes_another_one(settings: Settings) -> None:
    async with served(settings) as server:
        run = (await server.call("run_ml_training_workflow", data=ROWS, target="wait", wait_seconds=0))["run_id"]
        assert (await server.call("get_orchestrator_status"))["active"][0]["run_id"] == run
        assert (await server.call("control_run", run_id=run, action="cancel"))["status"] == "cancelled"
        assert "has already ended" in await server.refusal("control_run", run_id=run, action="cancel")
        server.go.set()
        again = (await server.call("control_run", run_id=run, action="resume"))["run_id"]
        assert (await server.call("get_run", run_id=again))["status"] == "succeeded"
        assert (await server.call("get_run", run_id=run))["status"] == "cancelled"


async def test_runs_are_listed_by_state_in_pages(settings: Settings) -> None:
    async with served(settings) as server:
        journal = server.orchestrator.journal
        ids = [submitted(journal, data="a.csv", target="y", seed=one) for one in range(23)]
        journal.at_once(runs.move, ids[0], (Status.QUEUED,), Status.CANCELLED)
        first = await server.call("list_runs", workflow="train")
        rest = await server.call("list_runs", workflow="train", cursor=first["next_cursor"])
        assert [one["run_id"] for one in [*first["runs"], *rest["runs"]]] == ids[::-1]
        assert "next_cursor" not in rest
        [cancelled] = (await server.call("list_runs", status="cancelled"))["runs"]
        assert (cancelled["run_id"], cancelled["about"]) == (ids[0], "a.csv y")
        assert (await server.call("list_runs", workflow="evaluate"))["runs"] == []


async def test_a_run_cut_off_by_the_end_of_the_server_goes_on_in_the_next_one(settings: Settings) -> None:
    async with served(settings) as server:
        run = (await server.call("run_ml_training_workflow", data=ROWS, target="wait", wait_seconds=0))["run_id"]
    async with served(settings) as server:
        server.go.set()
        assert (await server.call("get_run", run_id=run))["status"] == Status.SUCCEEDED


async def test_a_prompt_and_a_component_can_be_read(settings: Settings) -> None:
    async with served(settings) as server:
        prompt = await server.client.get_prompt("train_model", {"data": "a.csv", "target": "y"})
        assert "inspect_dataset(data='a.csv', target='y')" in prompt.messages[0].content.text  # type: ignore[union-attr]
        found = await server.client.read_resource("component://toys")
        assert json.loads(found.contents[0].text)["name"] == "toys"  # type: ignore[union-attr]
        with pytest.raises(Exception, match="There is no run"):
            await server.client.read_resource("run://0123456789")
