"""Long work as tasks: begun at once, asked for, answered, cancelled, heard of, and there after the host was killed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import fronts
import httpx2
import pytest
from fronts import Front, front, kill
from mcp.client.context import ClientRequestContext
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, Request
from pydantic import BaseModel
from served import ROWS, environment, facts, served, text, training
from tasking import IDENTIFIER, Begun, Task, tasked, through_front

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.workflow import Workflow
from mcp_orchestrator.server import build
from mcp_orchestrator.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unloaded")]
TRAIN: dict[str, Any] = {"data": ROWS, "target": "wait"}
ADD = {"name": "add", "component": "toys", "capability": "add", "params": {"a": 1}}
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
KNOWING: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    CAPABILITIES: {"extensions": {IDENTIFIER: {}}},
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Nothing(BaseModel):
    """No specification."""


class Raw(Request[dict[str, Any], str]):
    """A request as it is."""


class Said(BaseModel):
    """What was decided."""

    decisions: list[dict[str, Any]]


async def person(_context: ClientRequestContext, _params: ElicitRequestParams) -> ElicitResult:
    """Answer a form that comes as a request, which none here does."""
    raise AssertionError("a task asks by its own way")


async def asking(run: Run, spec: Nothing) -> Said:
    first = await run.approval("ship", "Ship it?", accuracy=0.9)
    return Said(decisions=[first.model_dump()])


async def asking_twice(run: Run, spec: Nothing) -> Said:
    both = await run.gather(run.approval("one", "First?"), run.approval("two", "Second?"))
    return Said(decisions=[one.model_dump() for one in both])


async def parent(run: Run, spec: Nothing) -> Said:
    return Said.model_validate(await run.child("below", "asking", {}))


async def crashing(run: Run, spec: Nothing) -> Said:
    raise ZeroDivisionError


def workflows(*functions: Callable[[Run, Any], Any]) -> dict[str, Workflow]:
    """Return workflows that take nothing, by the names of their functions."""
    return {one.__name__: Workflow(one.__name__, Nothing, one, ()) for one in functions}


def refused(error: pytest.ExceptionInfo[MCPError]) -> tuple[int, str]:
    return error.value.code, error.value.message


# Begun and asked for -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("mcp.tasks")
async def test_a_training_is_a_task_that_is_answered_at_once_and_ends_with_the_result_of_the_tool(
    settings: Settings,
) -> None:
    async with tasked(settings) as (tasks, server):
        begun = await tasks.start("run_ml_training_workflow", **TRAIN, wait_seconds=50)
        row = server.orchestrator.journal.run(begun.task_id)
        assert (begun.status, row.id, len(bytes.fromhex(row.id)) * 8) == ("working", begun.task_id, 128)
        working = await tasks.get(begun.task_id)
        assert (working.status, working.result, working.created_at) == ("working", None, begun.created_at)
        server.go.set()
        done = await tasks.until(begun.task_id, "completed")
        told = await server.client.call_tool("get_run", {"run_id": begun.task_id})
        assert done.answer == told.model_copy(update={"meta": None})
        assert facts(done.answer)["metrics"]["accuracy"]["value"] == 0.9
        assert done.created_at <= working.last_updated_at <= done.last_updated_at
        assert done.ttl_ms is not None
        assert begun.ttl_ms is not None
        assert done.ttl_ms >= begun.ttl_ms >= 604_800_000, "what was promised never becomes less"


@pytest.mark.parametrize(
    ("tool", "workflow", "arguments"),
    [
        ("run_ml_evaluation_workflow", "evaluate", {"model": "m", "data": ROWS}),
        ("run_workflow", "asking", {"workflow": "asking"}),
    ],
)
async def test_the_other_long_tools_are_tasks_too(
    settings: Settings, tool: str, workflow: str, arguments: dict[str, Any]
) -> None:
    class Anything(BaseModel, extra="allow"):
        model: str = ""
        data: Any = None

    async def waiting(run: Run, spec: Anything) -> Said:
        await go.wait()
        return Said(decisions=[{"model": spec.model}])

    async with tasked(settings) as (tasks, server):
        go = server.go
        server.orchestrator.engine.workflows[workflow] = Workflow(workflow, Anything, waiting, ())
        begun = await tasks.start(tool, **arguments)
        assert (await tasks.get(begun.task_id)).status == "working"
        go.set()
        done = await tasks.until(begun.task_id, "completed")
        assert facts(done.answer)["decisions"] == [{"model": arguments.get("model", "")}]


async def test_a_client_that_waits_for_its_tasks_gets_what_one_without_them_gets(settings: Settings) -> None:
    differ = {"run_id", "seconds", "next", "steps"}
    async with tasked(settings) as (_, server):
        server.go.set()
        as_task = facts(await server.client.call_tool("run_ml_training_workflow", {**TRAIN, "seed": 3}))
        failed = await server.client.call_tool("run_ml_training_workflow", {**TRAIN, "target": "late"})
        last = server.orchestrator.journal.runs(most=1)[0].id
    async with served(settings) as server:
        server.go.set()
        plain = facts(await server.client.call_tool("run_ml_training_workflow", {**TRAIN, "seed": 3}))
        told = await server.refusal("run_ml_training_workflow", **{**TRAIN, "target": "late"})
        again = server.orchestrator.journal.runs(most=1)[0].id
    assert {name: one for name, one in as_task.items() if name not in differ} == {
        name: one for name, one in plain.items() if name not in differ
    }
    assert failed.is_error
    assert text(failed).replace(last, "") == told.replace(again, ""), "a failure is told in the same words"


async def test_what_is_wrong_with_a_call_is_answered_at_once_and_makes_no_task(settings: Settings) -> None:
    async with tasked(settings) as (_, server):
        result = await server.client.call_tool("run_ml_training_workflow", {**TRAIN, "metrik": "f1"})
        assert result.is_error
        assert "metric" in text(result)
        assert server.orchestrator.journal.runs() == []


@pytest.mark.parametrize(
    ("one", "again"),
    [
        ({"request": "front:1"}, {"request": "front:1"}),
        ({"request": "front:1", "key": "mine"}, {"request": "other:7", "key": "mine"}),
    ],
    ids=["by its front", "by its client, from anywhere"],
)
async def test_a_call_that_is_sent_again_is_the_same_task(
    settings: Settings, one: dict[str, str], again: dict[str, str]
) -> None:
    async with tasked(settings) as (_, server):
        call = partial(server.client.session.call_tool, "run_ml_training_workflow", TRAIN, allow_claimed=True)
        metas: list[Any] = [
            {f"mcp-orchestrator/{name}": value for name, value in each.items()} for each in (one, again)
        ]
        first, second = [await call(meta=meta) for meta in metas]
        assert isinstance(first, Begun)
        assert isinstance(second, Begun)
        assert first.task_id == second.task_id


async def test_the_message_of_a_task_is_how_far_its_run_is(settings: Settings) -> None:
    async def stepping(run: Run, spec: Nothing) -> Said:
        run.advance("half", 0.5, "trial 3 of 6")
        run.say()
        await go.wait()
        return Said(decisions=[])

    async with tasked(settings) as (tasks, server):
        go = server.go
        server.orchestrator.engine.workflows["stepping"] = Workflow("stepping", Nothing, stepping, ("half",))
        begun = await tasks.start("run_workflow", workflow="stepping")
        with anyio.fail_after(60):
            while (await tasks.get(begun.task_id)).status_message != "50% half: trial 3 of 6":
                await anyio.sleep(0.02)
        await server.call("control_run", run_id=begun.task_id, action="cancel")
        assert (await tasks.get(begun.task_id)).status == "cancelled"


# How it ends ---------------------------------------------------------------------------------------------------------


async def test_a_run_that_failed_is_a_completed_task_with_the_error_of_the_tool(settings: Settings) -> None:
    async with tasked(settings) as (tasks, _):
        begun = await tasks.start("run_ml_training_workflow", **{**TRAIN, "target": "late"})
        done = await tasks.until(begun.task_id, "completed")
        assert done.answer.is_error
        assert "[data_rejected]" in text(done.answer)
        assert done.error is None
        assert "only one class" in (done.status_message or "")


async def test_what_nobody_foresaw_is_a_failed_task_with_an_error_of_the_protocol(settings: Settings) -> None:
    async with tasked(settings) as (tasks, server):
        server.orchestrator.engine.workflows.update(workflows(crashing))
        begun = await tasks.start("run_workflow", workflow="crashing")
        failed = await tasks.until(begun.task_id, "failed")
        assert failed.result is None
        assert failed.error is not None
        assert failed.error["code"] == -32603
        assert begun.task_id in failed.error["message"]
        assert "ZeroDivisionError" in (failed.status_message or "")


async def test_a_cancelled_task_ends_its_run_and_cancelling_it_again_changes_nothing(settings: Settings) -> None:
    async with tasked(settings) as (tasks, server):
        begun = await tasks.start("run_ml_training_workflow", **TRAIN)
        acknowledged = await tasks.cancel(begun.task_id)
        assert set(acknowledged.model_dump(exclude={"meta"}, exclude_none=True)) <= {"result_type"}
        assert (await tasks.until(begun.task_id, "cancelled")).result is None
        assert server.orchestrator.journal.run(begun.task_id).status is Status.CANCELLED
        await tasks.cancel(begun.task_id)
        server.go.set()
        other = await tasks.start("run_ml_training_workflow", **TRAIN)
        await tasks.until(other.task_id, "completed")
        await tasks.cancel(other.task_id)
        assert (await tasks.get(other.task_id)).status == "completed"


async def test_a_task_expires_and_its_run_stays(tmp_path: Path) -> None:
    async with tasked(Settings.load(tmp_path, task_keep_seconds=0.001)) as (tasks, server):
        begun = await tasks.start("run_ml_training_workflow", **TRAIN)
        assert (await tasks.get(begun.task_id)).status == "working", "one at work does not expire"
        server.go.set()
        assert (await server.call("get_run", run_id=begun.task_id))["status"] == "succeeded"
        for work in (tasks.get, tasks.cancel):
            with pytest.raises(MCPError, match="has expired") as error:
                await work(begun.task_id)
            assert refused(error)[0] == -32602
            assert "get_run" in refused(error)[1]
        assert (await server.call("get_run", run_id=begun.task_id))["status"] == "succeeded"


# What it asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "approved"),
    [
        ({"action": "accept", "content": {"confirm": True, "note": "fine"}}, True),
        ({"action": "accept", "content": {"confirm": False, "note": "fine"}}, False),
        ({"action": "decline", "content": {"note": "fine"}}, False),
    ],
)
async def test_what_a_run_asks_is_answered_through_its_task(
    settings: Settings, answer: dict[str, Any], approved: bool
) -> None:
    async with tasked(settings, elicitation_callback=person) as (tasks, server):
        server.orchestrator.engine.workflows.update(workflows(asking))
        begun = await tasks.start("run_workflow", workflow="asking")
        waiting = await tasks.until(begun.task_id, "input_required")
        assert waiting.status_message == "Ship it?"
        [(key, request)] = (waiting.input_requests or {}).items()
        assert request["method"] == "elicitation/create"
        assert request["params"]["message"] == 'Ship it?\n{"accuracy":0.9}'
        assert set(request["params"]["requestedSchema"]["properties"]) == {"confirm", "note"}
        assert (await tasks.get(begun.task_id)).input_requests == waiting.input_requests, "until it is answered"
        await tasks.update(begun.task_id, {key: answer})
        done = await tasks.until(begun.task_id, "completed")
        [decision] = facts(done.answer)["decisions"]
        assert decision == {"approved": approved, "by": "the person at mcp", "note": "fine"}
        await tasks.update(begun.task_id, {key: {"action": "accept", "content": {"confirm": not approved}}})
        [kept] = server.orchestrator.journal.approvals(begun.task_id)
        assert kept.status == ("approved" if approved else "refused"), "what was answered stays"


async def test_two_questions_are_answered_one_by_one_and_no_key_is_used_twice(settings: Settings) -> None:
    yes = {"action": "accept", "content": {"confirm": True}}
    async with tasked(settings, elicitation_callback=person) as (tasks, server):
        server.orchestrator.engine.workflows.update(workflows(asking_twice))
        begun = await tasks.start("run_workflow", workflow="asking_twice")
        with anyio.fail_after(60):
            while len(asked := (await tasks.get(begun.task_id)).input_requests or {}) < 2:
                await anyio.sleep(0.02)
        first, second = asked
        await tasks.update(begun.task_id, {first: yes, "unknown": {"ignored": True}})
        partly = await tasks.get(begun.task_id)
        assert (partly.status, list(partly.input_requests or {})) == ("input_required", [second])
        await tasks.update(begun.task_id, {second: {"action": "cancel"}})
        assert (await tasks.get(begun.task_id)).status == "input_required", "a closed form decides nothing"
        await tasks.update(begun.task_id, {second: yes})
        done = await tasks.until(begun.task_id, "completed")
        assert [one["approved"] for one in facts(done.answer)["decisions"]] == [True, True]


async def test_what_a_run_below_asks_is_asked_by_the_task(settings: Settings) -> None:
    async with tasked(settings, elicitation_callback=person) as (tasks, server):
        server.orchestrator.engine.workflows.update(workflows(asking, parent))
        begun = await tasks.start("run_workflow", workflow="parent")
        [key] = (await tasks.until(begun.task_id, "input_required")).input_requests or {}
        [child] = server.orchestrator.journal.runs(parent=begun.task_id)
        await tasks.update(begun.task_id, {key: {"action": "accept", "content": {"confirm": True}}})
        done = await tasks.until(begun.task_id, "completed")
        assert facts(done.answer)["decisions"][0]["approved"] is True
        with pytest.raises(MCPError, match="no task"):
            await tasks.get(child.id)


@pytest.mark.parametrize(
    "answer",
    [
        5,
        {"action": "perhaps"},
        {"action": "accept"},
        {"action": "accept", "content": {"confirm": "yes"}},
        {"action": "accept", "content": {"confirm": True, "note": "x" * 2001}},
    ],
)
async def test_an_answer_that_is_none_is_refused_and_decides_nothing(settings: Settings, answer: object) -> None:
    async with tasked(settings, elicitation_callback=person) as (tasks, server):
        server.orchestrator.engine.workflows.update(workflows(asking_twice))
        begun = await tasks.start("run_workflow", workflow="asking_twice")
        with anyio.fail_after(60):
            while len(asked := (await tasks.get(begun.task_id)).input_requests or {}) < 2:
                await anyio.sleep(0.02)
        first, second = asked
        with pytest.raises(MCPError, match="confirm") as error:
            await tasks.update(
                begun.task_id, {first: {"action": "accept", "content": {"confirm": True}}, second: answer}
            )
        assert error.value.code == -32602
        assert len((await tasks.get(begun.task_id)).input_requests or {}) == 2


async def test_a_client_without_forms_is_told_how_a_person_answers_and_cannot_answer_itself(settings: Settings) -> None:
    async with tasked(settings) as (tasks, server):
        server.orchestrator.engine.workflows.update(workflows(asking))
        begun = await tasks.start("run_workflow", workflow="asking")
        with anyio.fail_after(60):
            while "mcp-orchestrator approve" not in ((seen := await tasks.get(begun.task_id)).status_message or ""):
                await anyio.sleep(0.02)
        assert (seen.status, seen.input_requests) == ("working", None)
        key = f"{begun.task_id}/ship"
        with pytest.raises(MCPError) as error:
            await tasks.update(begun.task_id, {key: {"action": "accept", "content": {"confirm": True}}})
        assert error.value.code == -32021
        assert error.value.data == {"requiredCapabilities": {"elicitation": {"form": {}}}}
        [asked] = server.orchestrator.journal.approvals(begun.task_id)
        assert asked.status == "asked"


# Who may -------------------------------------------------------------------------------------------------------------


async def test_what_is_no_task_is_refused_in_the_same_words_whatever_it_is(settings: Settings) -> None:
    async with tasked(settings, elicitation_callback=person) as (tasks, _):
        begun = await tasks.start("run_ml_training_workflow", **TRAIN)
        for unknown in ("0" * 32, begun.task_id[:8], "", "x" * 100_000):
            for work in (tasks.get, tasks.cancel, lambda one: tasks.update(one, {})):
                with pytest.raises(MCPError, match="There is no task") as error:
                    await work(unknown)
                assert error.value.code == -32602
                assert len(error.value.message) < 200
        assert (await tasks.get(begun.task_id)).status == "working"


@pytest.mark.parametrize("params", [{}, {"taskId": 5}, {"taskId": None}, {"taskId": ["x"]}, {"taskId": {}}])
async def test_a_request_that_names_no_task_is_refused(settings: Settings, params: dict[str, Any]) -> None:
    async with tasked(settings) as (_, server):
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError) as error:
                await server.client.session.send_request(Raw(method=method, params=params), Task)
            assert error.value.code == -32602


async def test_a_client_that_does_not_know_tasks_waits_as_before_and_may_not_ask_for_one(settings: Settings) -> None:
    async with served(settings) as server:
        begun = await server.call("run_ml_training_workflow", **TRAIN, wait_seconds=0)
        assert begun["status"] in {"queued", "running"}
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            asked = Raw(method=method, params={"taskId": begun["run_id"], "inputResponses": {}})
            with pytest.raises(MCPError) as error:
                await server.client.session.send_request(asked, Task)
            assert error.value.code == -32021
            assert error.value.data == {"requiredCapabilities": {"extensions": {IDENTIFIER: {}}}}
        server.go.set()
        assert (await server.call("get_run", run_id=begun["run_id"]))["status"] == "succeeded"


async def test_the_older_era_has_no_tasks(settings: Settings) -> None:
    async with tasked(settings, mode="legacy") as (tasks, server):
        assert not server.client.server_capabilities.extensions
        begun = facts(await server.client.call_tool("run_ml_training_workflow", {**TRAIN, "wait_seconds": 0}))
        with pytest.raises(MCPError, match="Method not found"):
            await tasks.get(begun["run_id"])
        server.go.set()
        assert (await server.call("get_run", run_id=begun["run_id"]))["status"] == "succeeded"


async def test_the_server_says_that_it_has_tasks(settings: Settings) -> None:
    async with served(settings) as server:
        assert (server.client.server_capabilities.extensions or {})[IDENTIFIER] == {}


# Whose it is ---------------------------------------------------------------------------------------------------------


class Tokens(TokenVerifier):
    """Whoever says a name has the token of that name."""

    async def verify_token(self, token: str) -> AccessToken:
        return AccessToken(token=token, client_id="test", subject=token, scopes=["ml:promote"])


@asynccontextmanager
async def over_http(settings: Settings) -> AsyncGenerator[tuple[httpx2.ASGITransport, Orchestrator]]:
    """Serve over HTTP, within this process, to clients with tokens."""
    orchestrator = Orchestrator(settings=settings)
    orchestrator.engine.workflows["train"] = training(anyio.Event())
    server = build(orchestrator)
    server.settings.auth = AuthSettings.model_validate({"issuer_url": "http://127.0.0.1", "resource_server_url": None})
    server._token_verifier = Tokens()
    app = server.streamable_http_app(transport_security=TransportSecuritySettings(allowed_hosts=["127.0.0.1"]))
    async with app.router.lifespan_context(app):
        yield httpx2.ASGITransport(app), orchestrator


def ask(transport: httpx2.ASGITransport, token: str) -> Callable[..., Awaitable[httpx2.Response]]:
    """Return how a client with a token asks."""

    async def asked(method: str, params: dict[str, Any], name: str) -> httpx2.Response:
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": method,
            "Mcp-Name": name,
        }
        given = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": KNOWING}}
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/mcp", json=given, headers=headers)

    return asked


async def test_a_task_belongs_to_whose_token_began_it_and_is_unknown_to_others(settings: Settings) -> None:
    async with over_http(settings) as (transport, orchestrator):
        ann, bob = ask(transport, "ann"), ask(transport, "bob")
        call = {"name": "run_ml_training_workflow", "arguments": TRAIN}
        begun = (await ann("tools/call", call, "run_ml_training_workflow")).json()["result"]
        task = {"taskId": begun["taskId"], "inputResponses": {}}
        assert orchestrator.journal.run(begun["taskId"]).subject == "ann"
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            refusal = (await bob(method, task, begun["taskId"])).json()["error"]
            assert refusal["code"] == -32602
            unknown = (await bob(method, {**task, "taskId": "0" * 32}, "0" * 32)).json()["error"]
            assert unknown["message"].replace("0" * 32, begun["taskId"]) == refusal["message"], "nothing is given away"
        assert (await ann("tasks/get", task, begun["taskId"])).json()["result"]["status"] == "working"
        assert (await ann("tasks/cancel", task, begun["taskId"])).json()["result"]["resultType"] == "complete"
        assert (await ann("tasks/get", task, begun["taskId"])).json()["result"]["status"] == "cancelled"


async def test_over_http_the_header_that_proxies_go_by_must_name_the_task(settings: Settings) -> None:
    async with over_http(settings) as (transport, _):
        ann = ask(transport, "ann")
        call = {"name": "run_ml_training_workflow", "arguments": TRAIN}
        task = (await ann("tools/call", call, "run_ml_training_workflow")).json()["result"]["taskId"]
        refusal = await ann("tasks/get", {"taskId": task}, "another")
        assert (refusal.status_code, refusal.json()["error"]["code"]) == (400, -32020)
        assert (await ann("tasks/get", {"taskId": task}, task)).json()["result"]["taskId"] == task


# Listened to ---------------------------------------------------------------------------------------------------------


async def test_who_listens_to_a_task_is_told_how_it_stands_until_it_has_ended(settings: Settings) -> None:
    async with tasked(settings) as (tasks, server):
        begun = await tasks.start("run_ml_training_workflow", **TRAIN)
        other = await tasks.start("run_ml_training_workflow", **TRAIN)
        async with tasks.listening(begun.task_id, "0" * 32):
            first = await tasks.heard(begun.task_id, "working")
            assert "result" not in first
            server.go.set()
            last = await tasks.heard(begun.task_id, "completed")
            done = await tasks.until(begun.task_id, "completed")
            assert CallToolResult.model_validate(last["result"]) == done.answer
            assert "resultType" not in last
            await tasks.until(other.task_id, "completed")
            assert {one["taskId"] for one in tasks.knowing.notices} == {begun.task_id}


async def test_who_listens_is_told_of_what_a_task_asks(settings: Settings) -> None:
    async with tasked(settings, elicitation_callback=person) as (tasks, server):
        server.orchestrator.engine.workflows.update(workflows(asking))
        begun = await tasks.start("run_workflow", workflow="asking")
        async with tasks.listening(begun.task_id):
            [key] = (await tasks.heard(begun.task_id, "input_required"))["inputRequests"]
            await tasks.update(begun.task_id, {key: {"action": "accept", "content": {"confirm": True}}})
            await tasks.heard(begun.task_id, "completed")


async def test_only_clients_that_know_tasks_listen_to_them(settings: Settings) -> None:
    async with served(settings) as server:
        for wanted, code in (["0" * 32], -32021), ("0" * 32, -32602):
            asked = Raw(method="subscriptions/listen", params={"notifications": {"taskIds": wanted}})
            with pytest.raises(MCPError) as error, anyio.fail_after(60):
                await server.client.session.send_request(asked, Task)
            assert error.value.code == code


# Through the front, and without the host -----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "orchestrator.toml").write_text('workers = 2\n[components]\ntoys = "toys"\n')
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.setitem(fronts.META, CAPABILITIES, KNOWING[CAPABILITIES])
    return tmp_path


def begin(client: Front, folder: Path) -> str:
    """Begin a run that does one step and waits for a file in the next, and return its task."""
    client.begin()
    steps = [
        {"name": "first", "component": "toys", "capability": "mark", "params": {"folder": str(folder), "name": "did"}},
        {
            "name": "second",
            "after": ["first"],
            "component": "toys",
            "capability": "await_file",
            "params": {"folder": str(folder), "name": "go"},
        },
    ]
    graph = {"name": "two", "steps": steps, "outputs": {"first": {"$from": "first"}}}
    begun = client.ask("tools/call", {"name": "run_workflow", "arguments": {"graph": graph}})
    assert begun["resultType"] == "task", begun
    return begun["taskId"]


def until(client: Front, task: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for a task until it is as wanted."""
    deadline = time.monotonic() + 60
    while not true(seen := client.ask("tasks/get", {"taskId": task})):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def acknowledged(client: Front) -> list[list[str]]:
    """Return which tasks a client was told that it listens to."""
    said = [one["params"] for one in client.seen if one.get("method") == "notifications/subscriptions/acknowledged"]
    return [one["notifications"]["taskIds"] for one in said]


def ended(client: Front) -> set[str]:
    """Return the tasks that a client has heard to be completed."""
    said = [one["params"] for one in client.seen if one.get("method") == "notifications/tasks"]
    return {one["taskId"] for one in said if one["status"] == "completed"}


@pytest.mark.slow
@pytest.mark.requirement("mcp.tasks")
async def test_a_training_survives_its_client_and_its_host_and_its_result_is_there(project: Path) -> None:
    spec = {"families": ["linear", "random_forest"], "tracking": False}
    async with through_front(project) as one:
        training = {"data": "builtin:breast_cancer", "target": "target", "trials": 4, "spec": spec}
        begun = await one.start("run_ml_training_workflow", **training)
        assert (await one.get(begun.task_id)).status == "working"
    journal = Journal(project / ".mcp-orchestrator")
    with anyio.fail_after(60):
        while not any(step.finished for step in journal.steps(begun.task_id)):
            await anyio.sleep(0.01)
    kill(project)
    finished = {step.name: step.ended for step in journal.steps(begun.task_id) if step.finished}
    assert not journal.run(begun.task_id).status.final
    async with through_front(project) as two:
        done = await two.until(begun.task_id, "completed")
        answer = facts(done.answer)
        assert answer["run_id"] == begun.task_id
        assert answer["metrics"]["roc_auc"]["value"] > 0.95
        assert answer["model"]["version"] == 1
    ended = {step.name: step.ended for step in journal.steps(begun.task_id)}
    assert {name: ended[name] for name in finished} == finished, "what was done is not done again"
    assert len(journal.runs()) == 1
    journal.close()


async def test_each_request_says_for_itself_whether_its_client_knows_tasks(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call: dict[str, Any] = {"name": "run_workflow", "arguments": {"graph": {"name": "one", "steps": [ADD]}}}
    with front(project, modern=True) as client:
        client.begin()
        assert client.ask("tools/call", call)["resultType"] == "task"
        monkeypatch.setitem(fronts.META, CAPABILITIES, {})
        plain = client.ask("tools/call", call)
        assert (plain["resultType"], plain["structuredContent"]["status"]) == ("complete", "succeeded")
        monkeypatch.setitem(fronts.META, CAPABILITIES, KNOWING[CAPABILITIES])
        assert client.ask("tools/call", call)["resultType"] == "task"


def test_a_client_of_the_older_era_gets_no_task_whatever_it_declares(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fronts.HELLO, "capabilities", KNOWING[CAPABILITIES])
    with front(project) as client:
        client.begin()
        assert client.call("run_workflow", graph={"name": "one", "steps": [ADD]})["status"] == "succeeded"


@pytest.mark.slow
@pytest.mark.requirement("mcp.tasks")
def test_a_task_goes_on_when_its_client_has_gone_and_its_host_was_killed(project: Path) -> None:
    with front(project, modern=True) as one:
        task = begin(one, project)
        assert until(one, task, lambda seen: "second" in seen["statusMessage"])["status"] == "working"
    with front(project, modern=True) as two:
        two.begin()
        assert two.ask("tasks/get", {"taskId": task})["status"] == "working", "the client has gone, the task not"
        two.send("subscriptions/listen", {"notifications": {"taskIds": [task]}})
        until(two, task, lambda _: acknowledged(two) == [[task]])
        before = kill(project)
        assert two.ask("tasks/get", {"taskId": task})["status"] == "working", "the next host knows it"
        after = fronts.host(project)
        assert after is not None
        assert after.pid != before.pid
        (project / "go").touch()
        done = until(two, task, lambda seen: seen["status"] != "working")
        assert done["status"] == "completed"
        assert done["result"]["structuredContent"]["outputs"] == {"first": 1}, "what was done is not done again"
        shown = two.ask("tools/call", {"name": "get_run", "arguments": {"run_id": task}})
        assert done["result"] == {name: one for name, one in shown.items() if name != "_meta"}
        until(two, task, lambda _: ended(two) == {task})
