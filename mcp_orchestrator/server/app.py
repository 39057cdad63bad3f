"""The MCP server: one object, both eras of the protocol, over stdio, or over HTTP as `http` serves it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import agents, guide, prompts, resources, skills
from mcp_orchestrator.server.attendance import attended
from mcp_orchestrator.server.persona import Guard
from mcp_orchestrator.server.shell import Guest, Late, shell
from mcp_orchestrator.server.tools import published

__all__ = ["build", "furnish", "serve_stdio"]


def build(orchestrator: Orchestrator, *, read_only: bool = False) -> MCPServer[Guest]:
    """Return the server of an orchestrator, which works from the first connection on until the server ends.

    A ``read_only`` one lists nothing, and does nothing, that changes something.
    """

    @asynccontextmanager
    async def lifespan(server: MCPServer[Guest]) -> AsyncGenerator[Guest]:
        late = Late()
        async with (
            orchestrator.running(recover=True),
            attended(server, orchestrator, leaves=True) as late.attendance,
        ):
            yield Guest(late, secrets.token_hex(8), read_only=read_only)

    server = shell(lifespan)
    furnish(server)
    return server


def furnish(server: MCPServer[Any]) -> None:
    """Give a server its tools, resources and prompts, and the guard of what requests may do."""
    known = {one.name: one for one in published()}
    tools = server._tool_manager._tools  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK takes them when it is made, or as functions
    tools.update(known)
    server.middleware.append(Guard(known))
    resources.publish(server)
    skills.publish(server)
    guide.publish(server)
    prompts.publish(server)
    agents.publish(server)


def serve_stdio(orchestrator: Orchestrator, *, read_only: bool = False) -> None:
    """Serve one client over this process's input and output until the input ends."""
    build(orchestrator, read_only=read_only).run("stdio")
