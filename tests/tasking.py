"""A client that knows tasks, made of the SDK's parts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from served import Served, environment, training

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.server import build
from mcp_orchestrator.settings import Settings

__all__ = ["IDENTIFIER", "Knowing", "Task", "Tasking", "tasked", "through_front"]

IDENTIFIER = "io.modelcontextprotocol/tasks"
FINAL = {"completed", "failed", "cancelled"}


class Facts(Result):
    """What every task is; nothing else may be in it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    task_id: str
    status: Literal["working", "input_required", "completed", "failed", "cancelled"]
    status_message: str | None = None
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | None = None


class Begun(Facts):
    """What a call answers that has become a task."""

    result_type: Literal["task"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride]


class Task(Facts):
    """A task as it is asked for."""

    result_type: Literal["complete"]  # pyright: ignore[reportIncompatibleVariableOverride,reportGeneralTypeIssues]
    input_requests: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def answer(self) -> CallToolResult:
        """The result of the call that the task was made for."""
        return CallToolResult.model_validate(self.result)


class Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class Get(Request[Params, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    name_param = "taskId"


class Update(Request[Params, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    name_param = "taskId"


class Cancel(Request[Params, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    name_param = "taskId"


class Listen(Request[Params, Literal["subscriptions/listen"]]):
    method: Literal["subscriptions/listen"] = "subscriptions/listen"


class Noticed(BaseModel):
    """The parameters of a notification, whatever they are."""

    model_config = ConfigDict(extra="allow")


class Knowing(ClientExtension):
    """Says that the client knows tasks, waits for those that its calls become, and keeps what it is told of them."""

    identifier = IDENTIFIER

    def __init__(self) -> None:
        """Begin with no notice."""
        self.notices: list[dict[str, Any]] = []

    def claims(self) -> Sequence[ResultClaim[Any]]:
        """Claim the results that are tasks."""
        return [ResultClaim(result_type="task", model=Begun, resolve=self._wait)]

    def notifications(self) -> Sequence[NotificationBinding[Any]]:
        """Hear of tasks."""
        return [NotificationBinding(method="notifications/tasks", params_type=Noticed, handler=self._hear)]

    async def _wait(self, begun: Begun, context: ClaimContext) -> CallToolResult:
        while True:
            asked = Get(params=Params.model_validate({"taskId": begun.task_id}))
            task = await context.session.send_request(asked, Task)
            if task.status in FINAL:
                return task.answer
            await anyio.sleep((task.poll_interval_ms or 100) / 1000)

    async def _hear(self, said: Noticed) -> None:
        self.notices.append(said.model_dump())


class Tasking:
    """What a client can do with tasks."""

    def __init__(self, client: Client, knowing: Knowing) -> None:
        """Take the client."""
        self.client, self.knowing = client, knowing

    async def start(self, tool: str, /, **arguments: Any) -> Begun:
        """Call a tool that becomes a task."""
        begun = await self.client.session.call_tool(tool, arguments, allow_claimed=True)
        assert isinstance(begun, Begun), begun
        return begun

    async def get(self, task: str) -> Task:
        """Return a task."""
        return await self.client.session.send_request(Get(params=_params(taskId=task)), Task)

    async def update(self, task: str, answers: Mapping[str, Any]) -> Result:
        """Answer what a task asks."""
        asked = Update(params=_params(taskId=task, inputResponses=answers))
        return await self.client.session.send_request(asked, Result)

    async def cancel(self, task: str) -> Result:
        """Stop a task."""
        return await self.client.session.send_request(Cancel(params=_params(taskId=task)), Result)

    async def until(self, task: str, *states: str) -> Task:
        """Ask until a task is in one of some states."""
        with anyio.fail_after(60):
            while (seen := await self.get(task)).status not in states:
                assert seen.status not in FINAL, seen
                await anyio.sleep(0.02)
        return seen

    @asynccontextmanager
    async def listening(self, *tasks: str) -> AsyncGenerator[None]:
        """Listen to tasks while the block lasts."""
        asked = Listen(params=_params(notifications={"taskIds": list(tasks)}))
        listens = asyncio.ensure_future(self.client.session.send_request(asked, Result))
        try:
            yield
        finally:
            listens.cancel()

    async def heard(self, task: str, status: str) -> dict[str, Any]:
        """Wait for the notice that a task is in a state."""
        with anyio.fail_after(60):
            while True:
                for one in self.knowing.notices:
                    if (one["taskId"], one["status"]) == (task, status):
                        return one
                await anyio.sleep(0.02)


def _params(**given: Any) -> Params:
    return Params.model_validate(given)


@asynccontextmanager
async def tasked(settings: Settings, **options: Any) -> AsyncGenerator[tuple[Tasking, Served]]:
    """Serve as `served` does, to a client that knows tasks and asks nobody unless ``options`` say so."""
    orchestrator = Orchestrator(settings=settings)
    orchestrator.executor = orchestrator.dispatcher.executor = Workers(settings, preload=False)
    go = anyio.Event()
    orchestrator.engine.workflows["train"] = training(go)
    knowing = Knowing()
    async with Client(build(orchestrator), extensions=[knowing], **options) as client:
        yield Tasking(client, knowing), Served(client, orchestrator, go)


@asynccontextmanager
async def through_front(project: Path) -> AsyncGenerator[Tasking]:
    """Start a front on a project, which starts a host where there is none, and speak to it."""
    knowing, args = Knowing(), ["-m", "mcp_orchestrator", "serve", "--project", str(project)]
    with (project / "stderr").open("a") as errors:
        server = StdioServerParameters(command=sys.executable, args=args, cwd=project, env=environment())
        async with Client(stdio_client(server, errlog=errors), extensions=[knowing]) as client:
            yield Tasking(client, knowing)
