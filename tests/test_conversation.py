"""Two clients, each an agent: one has a model trained by the other, through messages and tasks alone."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.subscriptions import ResourceUpdated
from served import Era, environment, facts, text

from orchestrator_memory.store import MemoryStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
LEAD, ENGINEER = "ml-orchestrator", "ml-engineer"
QUICK = {"families": ["linear"], "tracking": False}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "churn"
    project.mkdir()
    (project / "orchestrator.toml").write_text("workers = 2\n")
    return project


class Agent:
    """A client that works as one agent."""

    def __init__(self, client: Client, name: str) -> None:
        self.client, self.name = client, name

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        return facts(await self.client.call_tool(tool, arguments))

    async def refusal(self, tool: str, /, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return text(result)


@asynccontextmanager
async def agent(project: Path, name: str, era: Era) -> AsyncGenerator[Agent]:
    """Start a client of its own, which gives its name with its first call."""
    command = ["-m", "mcp_orchestrator", "serve", "--project", str(project)]
    server = StdioServerParameters(command=sys.executable, args=command, cwd=project, env=environment())
    with (project / f"{name}.stderr").open("a") as errors:
        async with Client(stdio_client(server, errlog=errors), mode=era) as client:
            one = Agent(client, name)
            await one.call("read_messages", agent=name)
            yield one


async def trained(engineer: Agent) -> str:
    """Claim the order, do it, answer, and return the run."""
    [order] = (await engineer.call("read_messages", claim=1, lease=600))["messages"]
    assert (order["sender"], order["type"], order["state"]) == (LEAD, "delegation", "claimed")
    assert "builtin:iris" in order["text"]
    mine = (await engineer.call("log_task", action="start", description="Train iris", parent=order["task"]))["task"]
    training = {"data": "builtin:iris", "target": "target", "name": "iris", "trials": 2, "spec": QUICK}
    run = await engineer.call("run_ml_training_workflow", **training, wait_seconds=50)
    while run["status"] in {"queued", "running"}:
        run = await engineer.call("get_run", run_id=run["run_id"], wait_seconds=50)
    assert run["status"] in {"succeeded", "degraded"}
    proof = {"run": run["run_id"], "model": "iris"}
    kept = await engineer.call("remember", text="A linear model is enough for iris.", kind="insight", evidence=proof)
    assert kept["trust"] == 2
    body = f"Run {run['run_id']}: iris@1."
    await engineer.call("send_message", to=[], reply_to=order["uid"], type="result", body=body, task=order["task"])
    await engineer.call("log_task", action="finish", task=mine, outcome="success", insights=["Linear is enough."])
    assert (await engineer.call("read_messages", acknowledge=[order["uid"]]))["messages"] == []
    return str(run["run_id"])


@pytest.mark.slow
@pytest.mark.requirement("card.memory", "memory.send", "memory.unread")
@pytest.mark.parametrize(("first", "second"), [("auto", "legacy"), ("auto", "auto")])
async def test_one_agent_delegates_a_training_and_reads_the_answer_of_the_other(
    project: Path, first: Era, second: Era
) -> None:
    async with agent(project, LEAD, first) as lead, agent(project, ENGINEER, second) as engineer:
        inbox = f"memory://churn/inbox/{LEAD}"
        async with lead.client.listen(resource_subscriptions=[inbox]) as told:
            task = (await lead.call("log_task", action="start", description="A model for iris"))["task"]
            part = {"task": task, "to": ENGINEER, "type": "training"}
            await lead.call("log_task", action="delegate", **part, reason="Made by one, judged by another")
            order = {"to": [ENGINEER], "type": "delegation", "task": task, "ack": True}
            sent = await lead.call("send_message", **order, body="Train builtin:iris, target target.")
            refusal = await engineer.refusal("send_message", to=[ENGINEER], body="It is settled.", agent=LEAD)
            assert f"Another session speaks as '{LEAD}'" in refusal
            run = await trained(engineer)
            with anyio.fail_after(60):
                assert await anext(aiter(told)) == ResourceUpdated(uri=inbox)
        [answer] = (await lead.call("read_messages", thread=sent["thread"]))["messages"]
        assert (answer["sender"], answer["reply_to"], answer["task"]) == (ENGINEER, sent["uid"], task)
        assert run in answer["text"]
        assert (await lead.call("get_run", run_id=run))["model"]["name"] == "iris"
        await lead.call("log_task", action="settle", task=task, to=ENGINEER, outcome="success")
        await lead.call("log_task", action="finish", task=task, outcome="success", insights=["It was done in one go."])
        await lead.call("read_messages", acknowledge=[answer["uid"]])
        found = (await lead.call("recall_memory", queries=["which model for iris", "linear"], agent=ENGINEER))[
            "memories"
        ]
        assert found[0]["proof"] == [run, "iris@1"]
        seen = await lead.client.read_resource(f"memory://churn/agents/{LEAD}")
        assert json.loads(seen.contents[0].text)["waiting"] == 0  # type: ignore[union-attr]
    with MemoryStore.open(project / ".mcp-orchestrator" / "memory.db", "churn") as store:
        whole = store.tasks.get(task)
        assert (whole.agent, whole.outcome, whole.insights) == (LEAD, "success", ["It was done in one go."])
        [below] = store.tasks.list(parent=task)
        assert (below.agent, below.outcome, below.insights) == (ENGINEER, "success", ["Linear is enough."])
        [given] = whole.delegations
        assert (given.to, given.type, given.outcome, given.task) == (ENGINEER, "training", "success", below.uid)
        [counted] = store.collaboration.of(LEAD)
        assert (counted.other, counted.type, counted.attempts, counted.successes) == (ENGINEER, "training", 1, 1)
        [receipt] = store.messages.get(sent["uid"]).receipts
        assert (receipt.agent, receipt.state, receipt.attempts) == (ENGINEER, "acked", 1)
        assert store.messages.unread(LEAD) == store.messages.unread(ENGINEER) == 0


@pytest.mark.requirement("memory.unread")
async def test_a_name_is_free_when_its_client_has_gone_and_what_waited_for_it_is_there(project: Path) -> None:
    async with agent(project, LEAD, "auto") as lead:
        async with agent(project, ENGINEER, "auto"):
            await lead.call("send_message", to=[ENGINEER], body="Are you there?")
            assert "Another session" in await lead.refusal("read_messages", agent=ENGINEER)
        letters: list[dict[str, Any]] = []
        with anyio.fail_after(60):
            while not letters:
                result = await lead.client.call_tool("read_messages", {"agent": ENGINEER})
                letters = [] if result.is_error else facts(result)["messages"]
        assert [one["sender"] for one in letters] == [LEAD]
