"""A server for the protocol's conformance suite: ours, with the tools, resources and prompts that it names added.

`python conformance_server.py FOLDER` serves it over HTTP on a free port of 127.0.0.1 and prints its address. What is
under test is the product's own: the server's shell, the handlers of subscriptions, completion and tasks, how tools map
errors, the guard of requests, the gate and the web server. Only what they serve is of the suite.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import conformance_asking
import conformance_contents
import conformance_tasks
from conformance_tool import tool
from mcp import MCPDeprecationWarning
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import EmptyResult, JSONRPCMessage, SetLevelRequestParams

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.attendance import attended
from mcp_orchestrator.server.gate import PATH, Called, Gate, Limits
from mcp_orchestrator.server.http import listen, web
from mcp_orchestrator.server.persona import Guard
from mcp_orchestrator.server.scopes import READ
from mcp_orchestrator.server.shell import Guest, Late, shell
from mcp_orchestrator.server.subscriptions import Watch
from mcp_orchestrator.settings import Settings

__all__ = ["suited"]

WATCHED = "test://watched-resource"


class Events(EventStore):
    """What went over the streams, so that a client can go on where one was closed."""

    def __init__(self) -> None:
        self._kept: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self._kept.append((stream_id, message))
        return str(len(self._kept) - 1)

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        if not last_event_id.isdecimal() or int(last_event_id) >= len(self._kept):
            return None
        stream = self._kept[int(last_event_id)][0]
        for number, (of, message) in enumerate(self._kept[int(last_event_id) + 1 :], int(last_event_id) + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def suited(orchestrator: Orchestrator) -> MCPServer[Guest]:
    """Return the server that the suite is run against."""
    conformance_tasks.prepare(orchestrator)

    @asynccontextmanager
    async def lifespan(server: MCPServer[Guest]) -> AsyncGenerator[Guest]:
        late = Late()
        async with (
            orchestrator.running(recover=True),
            attended(server, orchestrator, leaves=True) as late.attendance,
            anyio.create_task_group() as group,
        ):
            late.attendance.watch = Watch(_look, lambda: 0, server._subscriptions.publish)
            group.start_soon(late.attendance.watch.run)
            yield Guest(late, "suite")
            group.cancel_scope.cancel("the server ends")

    server = shell(lifespan)
    for one in (*conformance_contents.TOOLS, *conformance_asking.TOOLS, *conformance_tasks.TOOLS):
        made = tool(one)
        server._tool_manager._tools[made.name] = made
    conformance_contents.publish(server)
    conformance_asking.publish(server)
    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, _set_level)
    server.middleware.append(Guard({}))
    return server


def _look(address: str) -> str:
    """Return how what the suite subscribes to looks, which is always the same; there is nothing else."""
    if address != WATCHED:
        raise UnknownName("resource", address, [WATCHED])
    return ""


async def _set_level(ctx: ServerRequestContext[Guest], params: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


async def _serve(folder: Path) -> None:
    settings = Settings.load(folder, workers=1)
    orchestrator = Orchestrator(settings=settings)
    orchestrator.executor = orchestrator.dispatcher.executor = Workers(settings, preload=False)
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        names = {f"127.0.0.1:{port}", f"localhost:{port}"}
        app = suited(orchestrator).streamable_http_app(event_store=Events(), retry_interval=100)
        gate = Gate(
            app,
            Called(f"http://127.0.0.1:{port}{PATH}", frozenset(names), frozenset(f"http://{one}" for one in names)),
            Limits(4 << 20, 10),
            lambda _method, _params: READ,
        )
        async with app.router.lifespan_context(app):
            print(f"http://127.0.0.1:{port}{PATH}", flush=True)
            await web(gate, own=True).serve(sockets=[listener])


if __name__ == "__main__":
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # the suite asks for what the protocol gives up
    anyio.run(_serve, Path(sys.argv[1]))
