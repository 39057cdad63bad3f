"""MCP over the host's socket: each connection of a front is a session of its own on the one server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter

from mcp_orchestrator.host.front import ENDING, LISTENING
from mcp_orchestrator.server.shell import Guest

if TYPE_CHECKING:
    from mcp_orchestrator.core.lines import Lines

__all__ = ["Session"]

FIRST = {"initialize", "server/discover", "ping", "notifications/initialized", "notifications/cancelled"}
FAILED, INVALID = -32603, -32600  # the codes of JSON-RPC for an internal error and for what is no request


class Session:
    """One client of the host, behind its front."""

    def __init__(
        self,
        server: MCPServer[Any],
        guest: Guest,
        lines: Lines,
        opened: Callable[[], Awaitable[str]],
        greeted: Callable[[], None],
    ) -> None:
        """Take the server, who the client is, and the connection after the greeting.

        What needs more than the server's name waits for ``opened``, which tells what is wrong if something is;
        ``greeted`` is called when the client has its first answer.
        """
        self._server = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK has no other way to a transport of one's own
        self.guest, self._lines, self._opened, self._greeted = guest, lines, opened, greeted
        self._asked: set[str | int] = set()
        self._idle = anyio.Event()

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
                lifespan_state=self.guest,
                init_options=self._server.create_initialization_options(),
            )
            group.cancel_scope.cancel("the client has gone")

    async def answered(self) -> None:
        """Wait until the client has all answers."""
        while self._asked:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def end(self) -> None:
        """Tell the front that the host ends in good order: another is needed only when something is asked for."""
        with contextlib.suppress(ConnectionError), anyio.move_on_after(1):
            await self._lines.send(json.dumps({"jsonrpc": "2.0", "method": ENDING}).encode())

    async def _receive(self, put: Any) -> None:  # noqa: ANN401 - a stream of anyio
        async with put:
            while (line := await self._lines.receive()) is not None:
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    await self._refuse(_named(line), "This is no message of JSON-RPC 2.0.", INVALID)
                    continue
                if isinstance(message, JSONRPCRequest) and message.method != LISTENING:
                    self._asked.add(message.id)
                problem = "" if getattr(message, "method", "") in FIRST else await self._opened()
                if not problem:
                    await put.send(SessionMessage(message))
                elif isinstance(message, JSONRPCRequest):
                    await self._refuse(message.id, problem)

    async def _refuse(self, asked: str | int | None, problem: str, code: int = FAILED) -> None:
        said = {"jsonrpc": "2.0", "id": asked, "error": {"code": code, "message": problem}}
        with contextlib.suppress(ConnectionError):
            await self._lines.send(json.dumps(said).encode())
        self._settle(asked)

    def _settle(self, asked: str | int | None) -> None:
        self._asked.discard(asked or 0)
        if not self._asked:
            self._idle.set()

    async def _send(self, take: Any) -> None:  # noqa: ANN401 - a stream of anyio
        async with take:
            async for one in take:
                text = one.message.model_dump_json(by_alias=True, exclude_unset=True)
                try:
                    await self._lines.send(text.encode())
                except ConnectionError:
                    return
                if not hasattr(one.message, "method"):
                    self._settle(one.message.id)
                    self._greeted()


def _named(line: bytes) -> str | int | None:
    """Return the id of what is no message, if it has one all the same: its client waits for an answer."""
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    given: Any = cast("dict[str, Any]", said).get("id") if isinstance(said, dict) else None
    return given if type(given) in {str, int} else None
