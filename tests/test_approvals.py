"""A person's yes before the registry of models is changed: asked by a form or confirmed, bound, used once, kept."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.context import ClientRequestContext
from mcp.client.stdio import stdio_client
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestParams, ElicitResult
from served import Era, environment, facts, text
from tasking import Knowing

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.server import build
from mcp_orchestrator.server.moves import MOST, UNSEEN, plan
from mcp_orchestrator.server.scopes import moves_alias
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Estimate, Trained

pytestmark = pytest.mark.anyio
ERAS: list[Era] = ["auto", "legacy"]
INVOKE, REGISTRY = "invoke_ml_component", "production_registry"
PROMOTION: dict[str, Any] = {
    "component": REGISTRY,
    "capability": "promote",
    "params": {"name": "flowers", "version": 2, "why": "better on the test part"},
}
LINE = (
    "Promotion: 'champion' of model 'flowers' goes from version 1 to version 2. "
    "accuracy: version 1 0.91 (0.88 to 0.93), version 2 0.95 (0.92 to 0.97). "
    'The reason that was given: "better on the test part".'
)
YES = ElicitResult(action="accept", content={"confirm": True, "note": "go"})
NOT_YET = ElicitResult(action="accept", content={"confirm": False, "note": "not on a Friday"})
NO, CLOSED = ElicitResult(action="decline"), ElicitResult(action="cancel")
CONFIRM = re.compile(r'confirm="([^"]+)"')


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show nothing in MLflow, which takes seconds to load."""
    monkeypatch.setattr("mcp_orchestrator.methods.models.exports.find_spec", lambda _: None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a project with three versions of a model, of which the first is the champion."""
    found = Settings.load(tmp_path, workers=1)
    with Versions(found.home) as versions:
        for digest, accuracy in (("a", 0.91), ("b", 0.95), ("c", 0.97)):
            trained = Trained(
                uri=f"model://{digest * 64}",
                sha256=digest * 64,
                bytes=1,
                estimator="tree",
                task="classification",
                target="y",
                features=["x"],
            )
            score = Estimate(value=accuracy, low=accuracy - 0.03, high=accuracy + 0.02)
            versions.register("flowers", trained, metrics={"accuracy": score, "recall": score}, run=digest)
        versions.promote("flowers", 1, why="the first")
    return found


@dataclass
class Person:
    """Sits at a client, reads what is asked and gives the next answer."""

    answers: list[ElicitResult]
    read: list[str] = field(default_factory=list[str])
    first: Callable[[], object] = lambda: None

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG002 - the SDK gives it by name
        """Answer."""
        assert isinstance(params, ElicitRequestFormParams)
        if not self.read:
            self.first()
        self.read.append(params.message)
        return self.answers.pop(0)


@asynccontextmanager
async def at_client(
    settings: Settings, era: Era = "auto", person: Person | None = None, *, read_only: bool = False
) -> AsyncGenerator[Client]:
    """Serve a project to a client, which can ask its person if there is one."""
    orchestrator = Orchestrator(settings=settings, in_process=True)
    async with Client(build(orchestrator, read_only=read_only), mode=era, elicitation_callback=person) as client:
        yield client


def champion(settings: Settings) -> int:
    with Versions(settings.home) as versions:
        return versions.get("flowers@champion").version


def promote(settings: Settings, version: int) -> None:
    with Versions(settings.home) as versions:
        versions.promote("flowers", version, why="somebody else")


async def told(client: Client) -> dict[str, Any]:
    """Return the history of the model."""
    asked = {"component": REGISTRY, "capability": "history", "params": {"name": "flowers"}}
    return facts(await client.call_tool(INVOKE, asked))["result"]


def refusal(result: CallToolResult) -> str:
    assert result.is_error
    return text(result)


def offered(result: CallToolResult) -> str:
    """Return the confirmation that an error names."""
    found = CONFIRM.search(refusal(result))
    assert found
    return found[1]


def happened(settings: Settings) -> list[str]:
    journal = Journal(settings.home)
    try:
        return [one.kind for one in journal.events() if one.kind.startswith("consent")]
    finally:
        journal.close()


# A client that can ask -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_a_person_is_shown_what_will_change_and_their_yes_does_it_and_is_kept(
    settings: Settings, era: Era
) -> None:
    person = Person([YES])
    async with at_client(settings, era, person) as client:
        done = facts(await client.call_tool(INVOKE, PROMOTION))["result"]
        assert (done["previous"], done["version"]) == (1, 2)
        assert done["by"] == "a call, approved by the person at mcp (form)"
        assert person.read == [f"mcp asks whether this shall be done ({INVOKE}):\n{LINE}"]
        history = await told(client)
        assert history["changes"][-1]["by"] == done["by"]
        [asked] = history["asked"]
        assert {**asked, "asked": 0, "decided": 0} == {
            "change": LINE,
            "how": "form",
            "status": "approved",
            "client": "mcp",
            "by": "the person at mcp (form)",
            "note": "go",
            "asked": 0,
            "decided": 0,
        }
        assert asked["asked"] <= asked["decided"] <= history["changes"][-1]["at"]
    assert happened(settings) == ["consent_asked", "consent_approved"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_no_or_a_closed_form_does_nothing_and_says_so(settings: Settings, era: Era) -> None:
    person = Person([NO, NOT_YET, CLOSED])
    async with at_client(settings, era, person) as client:
        assert "The person said no. Nothing was changed." in refusal(await client.call_tool(INVOKE, PROMOTION))
        assert 'said no and says: "not on a Friday"' in refusal(await client.call_tool(INVOKE, PROMOTION))
        assert "closed the form and did not decide" in refusal(await client.call_tool(INVOKE, PROMOTION))
        asked = (await told(client))["asked"]
    assert [one["status"] for one in asked] == ["refused", "refused", "closed"]
    assert champion(settings) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_person_is_asked_anew_when_the_alias_moved_before_their_yes(settings: Settings, era: Era) -> None:
    person = Person([YES, NO], first=lambda: promote(settings, 3))
    async with at_client(settings, era, person) as client:
        assert "The person said no" in refusal(await client.call_tool(INVOKE, PROMOTION))
    assert ["from version 1 to version 2" in one for one in person.read] == [True, False]
    assert "from version 3 to version 2" in person.read[1]
    assert champion(settings) == 3
    assert happened(settings) == ["consent_asked", "consent_overtaken", "consent_asked", "consent_refused"]


async def test_a_form_that_was_answered_counts_once_also_with_the_next_server(settings: Settings) -> None:
    states: list[str] = []
    answers: dict[str, Any] = {"approve": {"action": "accept", "content": {"confirm": True}}}
    asked = {"name": INVOKE, "arguments": {**PROMOTION, "params": {"name": "flowers", "version": 2}}}
    async with over_http(settings) as ask:
        states.append((await ask("ann", asked, forms=True))["result"]["requestState"])
    async with over_http(settings) as ask:
        again = {**asked, "requestState": states[0], "inputResponses": answers}
        foreign = await ask("bob", again, forms=True)
        assert foreign["error"]["data"] == {"reason": "invalid_request_state"}
        other = {**again, "arguments": {**PROMOTION, "params": {"name": "flowers", "version": 3}}}
        assert (await ask("ann", other, forms=True))["error"]["data"] == {"reason": "invalid_request_state"}
        assert champion(settings) == 1
        assert not (await ask("ann", again, forms=True))["result"].get("isError")
        assert champion(settings) == 2
        promote(settings, 1)
        replayed = (await ask("ann", again, forms=True))["result"]
        assert "used already (ann (form))" in replayed["content"][0]["text"]
    assert champion(settings) == 1


async def test_what_cannot_be_done_is_refused_before_anybody_is_asked(settings: Settings) -> None:
    person = Person([])
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("promote", {"name": "flowers", "version": 9}, "no version of model 'flowers' '9'"),
        ("promote", {"name": "flower", "version": 1}, "Did you mean 'flowers'"),
        ("promote", {"name": "flowers", "version": "x"}, "version"),
        ("promote", {"name": "flowers", "version": 2, "instead_of": 3}, "Version 3 of 'flowers' is not 'champion'"),
        ("promote", {"name": "flowers", "version": 2, "generation": 0}, "is at generation 1, not 0"),
        ("rollback", {"name": "flowers"}, "there is nothing to go back to"),
        ("delete", {"name": "flowers", "version": 1, "why": "x"}, "is 'champion'; nothing was deleted"),
    ]
    async with at_client(settings, person=person) as client:
        for capability, params, problem in bad:
            said = refusal(await client.call_tool(INVOKE, {**PROMOTION, "capability": capability, "params": params}))
            assert problem in said
        graph = {"steps": [{"name": "p", **PROMOTION, "after": ["q"]}]}
        assert "no step 'q'" in refusal(await client.call_tool("run_workflow", {"graph": graph}))
    async with at_client(settings, person=person, read_only=True) as client:
        assert "read-only" in refusal(await client.call_tool(INVOKE, PROMOTION))
    assert person.read == []
    assert happened(settings) == []


# A client that cannot ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_without_forms_an_error_names_the_confirmation_that_does_it_once(settings: Settings, era: Era) -> None:
    async with at_client(settings, era) as client:
        said = await client.call_tool(INVOKE, PROMOTION)
        assert LINE in text(said)
        assert champion(settings) == 1
        confirm = offered(said)
        done = facts(await client.call_tool(INVOKE, {**PROMOTION, "confirm": confirm}))["result"]
        assert re.fullmatch(r"a call, approved by mcp-\w{8} \(confirmation\)", done["by"])
        promote(settings, 1)
        assert "was used already" in refusal(await client.call_tool(INVOKE, {**PROMOTION, "confirm": confirm}))
    async with at_client(settings, era) as client:
        assert "was used already" in refusal(await client.call_tool(INVOKE, {**PROMOTION, "confirm": confirm}))
    assert champion(settings) == 1


async def test_a_confirmation_that_does_not_hold_is_refused_with_its_own_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**PROMOTION, "params": {"name": "flowers", "version": 3}}
    async with at_client(settings) as client:

        async def sent(confirm: object, call: dict[str, Any] = PROMOTION) -> str:
            return refusal(await client.call_tool(INVOKE, {**call, "confirm": confirm}))

        confirm = offered(await client.call_tool(INVOKE, PROMOTION))
        altered = confirm[:-1] + ("0" if confirm[-1] != "0" else "1")
        for one in (altered, "yes", f"{'0' * 16}.{confirm[17:]}"):
            assert "was not given here, or was altered" in await sent(one)
        assert "must be the text" in await sent(["yes"])
        assert f"is for another call ({LINE})" in await sent(confirm, other)
        idle = await client.call_tool(INVOKE, {**other, "capability": "history", "confirm": confirm})
        assert "nothing in this call needs" in refusal(idle)
        monkeypatch.setattr("mcp_orchestrator.server.decisions.VALID", 0)
        late = offered(await client.call_tool(INVOKE, PROMOTION))
        assert "A yes counts for 10 minutes" in await sent(late)
        promote(settings, 3)
        moved = await sent(confirm)
        assert "Something was moved since" in moved
        assert "from version 3 to version 2" in moved
        assert CONFIRM.findall(moved) not in ([], [confirm])
    async with at_client(settings, person=Person([])) as client:
        assert "not taken from a client that can ask" in refusal(
            await client.call_tool(INVOKE, {**PROMOTION, "confirm": confirm})
        )
    assert champion(settings) == 3
    assert set(happened(settings)) == {"consent_asked", "consent_expired", "consent_overtaken"}


async def test_of_two_clients_that_send_one_confirmation_one_wins(settings: Settings) -> None:
    results: list[CallToolResult] = []
    async with at_client(settings) as first, at_client(settings) as second:
        call = {**PROMOTION, "confirm": offered(await first.call_tool(INVOKE, PROMOTION))}

        async def send(client: Client) -> None:
            results.append(await client.call_tool(INVOKE, call))

        async with anyio.create_task_group() as group:
            for client in (first, second, first, second):
                group.start_soon(send, client)
    assert sorted(bool(one.is_error) for one in results) == [False, True, True, True]
    assert all("was used already" in text(one) for one in results if one.is_error)
    with Versions(settings.home) as versions:
        assert versions.generation("flowers", "champion") == 2


async def test_a_call_that_is_sent_again_finds_its_own_yes(settings: Settings) -> None:
    graph = {"steps": [{"name": "p", **PROMOTION}]}
    meta: Any = {"mcp-orchestrator/request": "front:1"}
    async with at_client(settings) as client:
        confirm = offered(await client.call_tool("run_workflow", {"graph": graph}))
        call = {"graph": graph, "confirm": confirm}
        first = facts(await client.call_tool("run_workflow", call, meta=meta))
        assert first["status"] == "succeeded"
        again: Any = {**meta, "mcp-orchestrator/resent": True}
        assert facts(await client.call_tool("run_workflow", call, meta=again))["run_id"] == first["run_id"]
        strange: Any = {**again, "mcp-orchestrator/request": "front:2"}
        assert "used already" in refusal(await client.call_tool("run_workflow", call, meta=strange))
    with Versions(settings.home) as versions:
        assert versions.generation("flowers", "champion") == 2


# Graphs --------------------------------------------------------------------------------------------------------------

GRAPH: dict[str, Any] = {
    "inputs": {"model": {"type": "string"}, "which": {"type": "integer", "default": 2}},
    "steps": [
        {"name": "look", "approval": "Are the slices fine?"},
        {
            "name": "up",
            "component": REGISTRY,
            "capability": "promote",
            "params": {"name": {"$input": "model"}, "version": {"$input": "which"}},
            "after": ["look"],
        },
    ],
}


@pytest.mark.parametrize("era", ERAS)
async def test_a_graph_is_approved_before_it_runs_and_what_it_asks_is_put_before_who_waits(
    settings: Settings, era: Era
) -> None:
    person = Person([YES, YES])
    async with at_client(settings, era, person) as client:
        run = facts(await client.call_tool("run_workflow", {"graph": GRAPH, "inputs": {"model": "flowers"}}))
        assert run["status"] == "succeeded"
        assert "Step 'up': Promotion: 'champion' of model 'flowers' goes from version 1 to version 2." in person.read[0]
        assert person.read[1] == "Are the slices fine?"
        change = (await told(client))["changes"][-1]
        assert change["by"] == f"run {run['run_id']}, approved by the person at mcp (form)"
    assert champion(settings) == 2


async def test_an_approved_step_does_what_was_shown_or_nothing(settings: Settings) -> None:
    async with at_client(settings) as client:
        call = {"graph": GRAPH, "inputs": {"model": "flowers"}, "wait_seconds": 50}
        confirm = offered(await client.call_tool("run_workflow", call))
        run = facts(await client.call_tool("run_workflow", {**call, "confirm": confirm}))
        assert run["status"] == "waiting", "a client without forms is not asked"
    promote(settings, 3)
    async with at_client(settings, person=Person([YES])) as client:
        ended = facts(await client.call_tool("get_run", {"run_id": run["run_id"], "wait_seconds": 50}))
        assert ended["status"] == "failed"
        assert "was moved by somebody else" in ended["error"]
    assert champion(settings) == 3


@pytest.mark.parametrize("era", ERAS)
async def test_who_waits_for_a_run_answers_what_it_asks_and_a_closed_form_leaves_it_waiting(
    settings: Settings, era: Era
) -> None:
    graph = {"steps": [{"name": "ship", "approval": "Ship it?", "details": {"accuracy": 0.9}}]}
    person = Person([CLOSED, YES])
    async with at_client(settings, era, person) as client:
        waits = facts(await client.call_tool("run_workflow", {"graph": graph, "wait_seconds": 50}))
        assert waits["status"] == "waiting"
        glance = facts(await client.call_tool("get_run", {"run_id": waits["run_id"], "wait_seconds": 0}))
        assert glance["status"] == "waiting"
        assert len(person.read) == 1, "who does not wait is not asked"
        ended = facts(await client.call_tool("get_run", {"run_id": waits["run_id"]}))
        assert ended["status"] == "succeeded"
        assert ended["outputs"]["ship"] == {"approved": True, "by": "the person at mcp", "note": "go"}
        assert len(facts(await client.call_tool("list_runs"))["runs"]) == 1
    assert person.read == ['Ship it?\n{"accuracy":0.9}'] * 2


async def test_a_task_begins_after_the_yes_and_its_run_says_who_gave_it(settings: Settings) -> None:
    person, knowing = Person([NO, YES]), Knowing()
    graph = {"steps": [{"name": "p", **PROMOTION}]}
    server = build(Orchestrator(settings=settings, in_process=True))
    async with Client(server, elicitation_callback=person, extensions=[knowing]) as client:
        assert "said no" in refusal(await client.call_tool("run_workflow", {"graph": graph}))
        assert facts(await client.call_tool("list_runs"))["runs"] == []
        run = facts(await client.call_tool("run_workflow", {"graph": graph}))
        assert run["status"] == "succeeded"
        whole = facts(await client.call_tool("get_run", {"run_id": run["run_id"], "detail": "full"}))
        assert whole["approved"] == "the person at mcp (form)"
    assert champion(settings) == 2


async def test_a_server_that_only_reads_asks_nobody_what_a_run_asks(settings: Settings) -> None:
    graph = {"steps": [{"name": "ship", "approval": "Ship it?"}]}
    async with at_client(settings) as client:
        run = facts(await client.call_tool("run_workflow", {"graph": graph, "wait_seconds": 50}))["run_id"]
    person = Person([])
    async with at_client(settings, person=person, read_only=True) as client:
        assert facts(await client.call_tool("get_run", {"run_id": run, "wait_seconds": 50}))["status"] == "waiting"
    assert person.read == []


# What is told --------------------------------------------------------------------------------------------------------


def step(capability: str, **params: Any) -> dict[str, Any]:
    return {"component": REGISTRY, "capability": capability, "params": params}


def test_each_kind_of_change_is_told_as_it_will_be(settings: Settings) -> None:
    with Versions(settings.home) as versions:
        versions.set_alias("flowers", "challenger", 2)

        def line(capability: str, **params: Any) -> str:
            return plan(versions, step(capability, **params)).text.partition(" accuracy:")[0]

        assert line("promote", name="flowers", version=2).endswith("from version 1 to version 2.")
        assert "It stops being the challenger." in plan(versions, step("promote", name="flowers", version=2)).text
        assert line("alias", name="flowers", alias="challenger", version=3) == (
            "Alias: 'challenger' of model 'flowers' goes from version 2 to version 3."
        )
        assert line("alias", name="flowers", alias="challenger", version=None) == (
            "Alias: 'challenger' of model 'flowers' goes from version 2 to no version (it is taken away)."
        )
        assert line("alias", name="flowers", alias="mine", version=3).startswith("Alias: 'mine'")
        with pytest.raises(NotReady, match="nothing to go back to"):
            line("rollback", name="flowers")
        versions.promote("flowers", 2)
        assert line("rollback", name="flowers") == (
            "Rollback: 'champion' of model 'flowers' goes from version 2 to version 1."
        )
        assert line("delete", name="flowers", version=1) == (
            "Deletion, for good: version 1 of model 'flowers' (tree, 1 bytes, no alias; versions left: 3, 2)."
        )
        later = {"$from": "look.version"}
        assert line("delete", name="flowers", version=later).startswith("production_registry.delete: name")


def test_a_reason_cannot_pass_for_the_question(settings: Settings) -> None:
    why = "fine.\nThe person has approved this already. " + "x" * 500
    with Versions(settings.home) as versions:
        shown = plan(versions, step("promote", name="flowers", version=2, why=why)).text
    assert "\n" not in shown
    assert 'The reason that was given: "fine.\\nThe person' in shown
    assert len(shown) < 500
    with Versions(settings.home) as versions:
        turned = plan(versions, step("promote", name="flowers", version="2", why="a\u202eb é")).text
    assert turned == LINE.replace("better on the test part", "a\\u202eb é")


def test_what_a_graph_finds_out_only_later_is_told_as_that_and_bound_where_it_can_be(settings: Settings) -> None:
    later = {"$from": "register.version"}
    graph: dict[str, Any] = {
        "steps": [
            {"name": "a", **step("promote", name="flowers", version=later)},
            {"name": "b", **step("alias", name="flowers", alias="challenger", version=1)},
            {"name": "c", **step("alias", name="flowers", alias="challenger", version=2)},
            {"name": "d", **step("alias", name="flowers", alias={"$item": ""}, version=1), "each": ["x", "y"]},
            {"name": "e", **step("promote", name="roses", version=1)},
        ]
    }
    with Versions(settings.home) as versions:
        found = plan(versions, {"workflow": None, "graph": graph, "inputs": None})
        found.bind(found.generations)
    assert found.text.splitlines()[0] == (
        '- Step \'a\': production_registry.promote: name "flowers", version as step "register.version" answers.'
    )
    assert "for each item of a list" in found.lines[3]
    assert "As things are now: There is no model 'roses'" in found.lines[4]
    bound = [one["params"].get("generation") for one in graph["steps"]]
    assert bound == [1, None, None, None, 0], "an alias that moves twice is at no generation that is known before"
    many = {"graph": {"steps": graph["steps"] * (MOST // 5 + 1)}}
    with Versions(settings.home) as versions, pytest.raises(InvalidInput, match="at most 50"):
        plan(versions, many)


@pytest.mark.parametrize("spec", [
    {"graph": {"steps": [{"name": "x", "component": {"$input": "c"}, "capability": {"$input": "d"}}]}},
    {"graph": {"steps": [{"$from": "a.step"}]}},
    {"graph": {"steps": {"$from": "a.steps"}}},
    {"graph": {"$from": "a.graph"}},
    {"graph": {"$literal": {"steps": [{"name": "p", **PROMOTION}]}}},
])  # fmt: skip
def test_a_graph_that_is_made_while_another_runs_passes_nobody_by(settings: Settings, spec: dict[str, Any]) -> None:
    call = {"graph": {"steps": [{"name": "in", "workflow": "custom", "spec": spec}]}}
    assert moves_alias(call)
    with Versions(settings.home) as versions:
        shown = plan(versions, call).text
    assert (shown == UNSEEN) is ("$literal" not in spec["graph"])
    harmless = {"graph": {"$literal": {"steps": [{"name": "p", "component": "metrics", "capability": "x"}]}}}
    assert not moves_alias({"graph": {"steps": [{"name": "in", "workflow": "custom", "spec": harmless}]}})
    assert not moves_alias({**PROMOTION, "cursor": "2"}), "what goes on through a result does nothing"


# Whose it is ---------------------------------------------------------------------------------------------------------


class Tokens(TokenVerifier):
    """Whoever says a name has the token of that name; those who begin with r may run, and nothing more."""

    async def verify_token(self, token: str) -> AccessToken:
        scope = "ml:run" if token.startswith("r") else "ml:promote"
        return AccessToken(token=token, client_id="test", subject=token, scopes=[scope])


@asynccontextmanager
async def over_http(settings: Settings) -> AsyncGenerator[Callable[..., Any]]:
    """Serve over HTTP, within this process, to clients with tokens."""
    server = build(Orchestrator(settings=settings, in_process=True))
    server.settings.auth = AuthSettings.model_validate({"issuer_url": "http://127.0.0.1", "resource_server_url": None})
    server._token_verifier = Tokens()
    app = server.streamable_http_app(transport_security=TransportSecuritySettings(allowed_hosts=["127.0.0.1"]))

    async def ask(who: str, params: dict[str, Any], *, forms: bool = False) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {who}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": params["name"],
        }
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}} if forms else {},
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        }
        said = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, "_meta": meta}}
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return (await client.post("/mcp", json=said, headers=headers)).json()

    async with app.router.lifespan_context(app):
        yield ask


async def test_a_confirmation_is_its_subject_s_and_a_run_asks_its_own_subject_alone(settings: Settings) -> None:
    async with over_http(settings) as ask:

        async def said(who: str, **more: Any) -> str:
            result = (await ask(who, {"name": INVOKE, "arguments": {**PROMOTION, **more}}))["result"]
            return result["content"][0]["text"]

        found = CONFIRM.search(await said("ann"))
        assert found
        assert "given to somebody else" in await said("bob", confirm=found[1])
        assert "needs the scope ml:promote" in await said("ray", confirm=found[1])
        assert champion(settings) == 1
        assert '"by":"a call, approved by ann (confirmation)"' in await said("ann", confirm=found[1])
        assert champion(settings) == 2

        graph = {"steps": [{"name": "ship", "approval": "Ship it?"}]}
        started = {"name": "run_workflow", "arguments": {"graph": graph, "wait_seconds": 50}}
        waits = (await ask("ray", started, forms=True))["result"]
        assert waits["structuredContent"]["status"] == "waiting", "a token that may only run is not asked"
        get = {"name": "get_run", "arguments": {"run_id": waits["structuredContent"]["run_id"]}}
        assert (await ask("ann", get, forms=True))["result"]["structuredContent"]["status"] == "waiting"
        asked = (await ask("ann", started, forms=True))["result"]
        assert next(iter(asked["inputRequests"].values()))["params"]["message"] == "Ship it?"


async def test_to_let_a_run_of_others_go_on_that_moves_an_alias_needs_the_scope_for_it(
    settings: Settings,
) -> None:
    call = {"graph": GRAPH, "inputs": {"model": "flowers"}, "wait_seconds": 50}
    async with at_client(settings) as client:
        confirm = offered(await client.call_tool("run_workflow", call))
        run = facts(await client.call_tool("run_workflow", {**call, "confirm": confirm}))["run_id"]
        facts(await client.call_tool("control_run", {"run_id": run, "action": "cancel"}))
    async with over_http(settings) as ask:
        resume = {"name": "control_run", "arguments": {"run_id": run, "action": "resume"}}
        assert "needs the scope ml:promote" in (await ask("ray", resume))["result"]["content"][0]["text"]
        assert not (await ask("ann", resume))["result"]["isError"]


async def test_the_question_and_the_answer_pass_a_front_and_its_host(settings: Settings) -> None:
    args = ["-m", "mcp_orchestrator", "serve", "--project", str(settings.project)]
    person = Person([NO, YES, CLOSED])
    graph = {"steps": [{"name": "ship", "approval": "Ship it?"}]}
    for era in ERAS:
        with (settings.project / "stderr").open("a") as errors:
            server = StdioServerParameters(command=sys.executable, args=args, cwd=settings.project, env=environment())
            async with Client(stdio_client(server, errlog=errors), mode=era, elicitation_callback=person) as client:
                if era == "auto":
                    assert "The person said no" in refusal(await client.call_tool(INVOKE, PROMOTION))
                    run = facts(await client.call_tool("run_workflow", {"graph": graph, "wait_seconds": 50}))
                    assert run["status"] == "succeeded"
                else:
                    assert "closed the form" in refusal(await client.call_tool(INVOKE, PROMOTION))
    assert [LINE in one for one in person.read] == [True, False, True]
    assert champion(settings) == 1
