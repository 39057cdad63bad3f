"""The server as a module, for `mcp dev` and `mcp run`: they import this file and serve what it calls ``mcp``.

Nothing is opened before the first connection. Everything runs in the one process, on the project of the working folder
or of MCP_ORCHESTRATOR_PROJECT.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server.app import furnish
from mcp_orchestrator.server.attendance import attended
from mcp_orchestrator.server.shell import Guest, Late, shell

__all__ = ["mcp"]


@asynccontextmanager
async def _lifespan(server: MCPServer[Guest]) -> AsyncGenerator[Guest]:
    orchestrator, late = Orchestrator(), Late()
    async with (
        orchestrator.running(recover=True),
        attended(server, orchestrator, leaves=True) as late.attendance,
    ):
        yield Guest(late, secrets.token_hex(8))


mcp: MCPServer[Guest] = shell(_lifespan)
furnish(mcp)
