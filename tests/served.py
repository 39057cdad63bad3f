"""A server for the tests, whose training waits for a word of the test and ends as its target says."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import oddities
import psutil
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.engine import Workflow
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.server import build
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Estimate, Trained
from mcp_orchestrator.workflows.spec import TrainingSpec

__all__ = [
    "ROWS",
    "SERVE",
    "TOYS",
    "TRAINED",
    "Era",
    "Served",
    "burning",
    "environment",
    "facts",
    "gone",
    "over_stdio",
    "served",
    "text",
]

TOYS = {"toys": "toys", "odd": "oddities"}
TRAINED = Trained(
    uri="model://" + "a" * 64,
    sha256="a" * 64,
    bytes=1,
    estimator="forest",
    task="classification",
    target="churned",
    features=["age"],
    classes=["no", "yes"],
)
"""A model that can be registered, and has no bytes."""
ROWS: list[dict[str, Any]] = [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
SECRETIVE: Capability[[], int] = Capability(oddities.secretive, component="odd")
Era = Literal["auto", "legacy"]
SERVE = ["-m", "mcp_orchestrator", "serve", "--embedded"]


class Summary(BaseModel):
    """What the training answers."""

    metrics: dict[str, Estimate]
    baseline: dict[str, float]
    leaderboard: list[dict[str, Any]]
    artifacts: list[dict[str, Any]]
    spec: dict[str, Any]


class Served:
    """A client of a server in this process."""

    def __init__(self, client: Client, orchestrator: Orchestrator, go: anyio.Event) -> None:
        """Take both ends, and the word that the training waits for."""
        self.client, self.orchestrator, self.go = client, orchestrator, go

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that succeeds, and return its facts."""
        return facts(await self.client.call_tool(tool, arguments))

    async def refusal(self, tool: str, /, **arguments: Any) -> str:
        """Call a tool that fails, and return what it says."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return text(result)


def facts(result: CallToolResult) -> dict[str, Any]:
    """Return the facts of a success, which its text and its structured content share."""
    assert not result.is_error, text(result)
    shared = cast("dict[str, Any]", result.structured_content)
    assert text(result) == json.dumps(shared, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return shared


def text(result: CallToolResult) -> str:
    """Return the text of a result."""
    [content] = result.content
    return cast("TextContent", content).text


@asynccontextmanager
async def served(settings: Settings, era: Era = "auto") -> AsyncGenerator[Served]:
    """Serve an orchestrator with foreign components and a training of the tests."""
    orchestrator = Orchestrator(settings=settings)
    orchestrator.executor = orchestrator.dispatcher.executor = Workers(settings, preload=False)
    go = anyio.Event()
    orchestrator.engine.workflows["train"] = training(go)
    async with Client(build(orchestrator), mode=era) as client:
        yield Served(client, orchestrator, go)


def training(go: anyio.Event) -> Workflow:
    """Return a workflow with the name and the specification of the real one."""

    async def train(run: Run, spec: TrainingSpec) -> Summary:
        await run.note("begin", "done")
        if spec.target == "late":
            raise DataRejected(
                "only one class is left after the split.", column="y", then="Give more rows of the others."
            )
        if spec.target == "crash":
            await run.step("odd", SECRETIVE)
        if spec.target == "wait":
            await go.wait()
        await run.skip("tune", "tuning.method is none")
        file = {"name": "card.md", "uri": "artifact://1", "path": "/x/card.md", "bytes": 9, "media": "text/markdown"}
        return Summary(
            metrics={"accuracy": Estimate(value=0.9, low=0.8, high=float("nan"))},
            baseline={"accuracy": 0.5},
            leaderboard=[{"rank": number, "score": 1 / number} for number in range(1, 121)],
            artifacts=[file],
            spec=spec.model_dump(mode="json"),
        )

    return Workflow("train", TrainingSpec, train, ("begin", "tune"))


@asynccontextmanager
async def over_stdio(project: Path, era: Era = "auto") -> AsyncGenerator[Client]:
    """Start a server as a client does, and speak to it."""
    with (project / "stderr").open("a") as errors:
        server = StdioServerParameters(command=sys.executable, args=SERVE, cwd=project, env=environment())
        async with Client(stdio_client(server, errlog=errors), mode=era) as client:
            yield client


def environment() -> dict[str, str]:
    """Return an environment in which another process finds what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}


async def burning(folder: Path) -> list[psutil.Process]:
    """Wait until `toys.burn` burns, and return its processes."""
    marks = folder / "burning"
    with anyio.fail_after(30):
        while not marks.exists() or len(marks.read_text().split()) < 2:
            await anyio.sleep(0.01)
    return [psutil.Process(int(pid)) for pid in marks.read_text().split()]


def working(process: psutil.Process) -> bool:
    """Whether a process still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def gone(processes: list[psutil.Process]) -> None:
    """Wait until processes are gone."""
    with anyio.fail_after(60):
        while any(map(working, processes)):
            await anyio.sleep(0.01)
