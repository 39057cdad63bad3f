"""MCP over the host's socket: each connection of a front is a session of its own on the one server."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.lines import Lines
from mcp_orchestrator.host.front import ENDING

__all__ = ["Session"]

LISTENING = "subscriptions/listen"


class Session:
    """One client of the host, behind its front."""

    def __init__(self, server: MCPServer[Orchestrator], orchestrator: Orchestrator, lines: Lines) -> None:
        """Take the server, its orchestrator, and the connection after the greeting."""
        self._server = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK has no other way to a transport of one's own
        self._orchestrator, self._lines = orchestrator, lines
        self._asked: set[str | int] = set()

    @property
    def busy(self) -> bool:
        """Whether the client waits for an answer."""
        return bool(self._asked)

    async def serve(self) -> None:
        """Serve the client until it goes away; what it waits for is then given up."""
        put, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, take = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as group:
            group.start_soon(self._receive, put)
            group.start_soon(self._send, take)
            await serve_dual_era_loop(
                self._server,
                read,
                write,
                lifespan_state=self._orchestrator,
                init_options=self._server.create_initialization_options(),
            )
            group.cancel_scope.cancel("the client has gone")

    async def end(self) -> None:
        """Tell the front that the host ends in good order: another is needed only when something is asked for."""
        with contextlib.suppress(ConnectionError), anyio.move_on_after(1):
            await self._lines.send(json.dumps({"jsonrpc": "2.0", "method": ENDING}).encode())

    async def _receive(self, put: Any) -> None:  # noqa: ANN401 - a stream of anyio
        async with put:
            while (line := await self._lines.receive()) is not None:
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError as error:
                    await put.send(error)
                    continue
                if isinstance(message, JSONRPCRequest) and message.method != LISTENING:
                    self._asked.add(message.id)
                await put.send(SessionMessage(message))

    async def _send(self, take: Any) -> None:  # noqa: ANN401 - a stream of anyio
        async with take:
            async for one in take:
                text = one.message.model_dump_json(by_alias=True, exclude_unset=True)
                try:
                    await self._lines.send(text.encode())
                except ConnectionError:
                    return
                if not hasattr(one.message, "method"):
                    self._asked.discard(one.message.id)
