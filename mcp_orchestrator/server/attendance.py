"""What goes on beside the requests of a server: sessions are kept alive, and who listens is told what has changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server.sealing import keep
from mcp_orchestrator.server.speaker import Speakers
from mcp_orchestrator.server.subscriptions import Watch

__all__ = ["Attendance", "attended"]


class Attendance:
    """Who is there: those who speak, and those who listen."""

    def __init__(self, orchestrator: Orchestrator, speakers: Speakers, watch: Watch) -> None:
        """Take the orchestrator that they all have to do with."""
        self.orchestrator, self.speakers, self.watch = orchestrator, speakers, watch


@asynccontextmanager
async def attended(
    server: MCPServer[Any], orchestrator: Orchestrator, *, leaves: bool = False
) -> AsyncGenerator[Attendance]:
    """Attend to the sessions of a server until the block ends; with ``leaves``, they end with it."""
    keep(server, orchestrator.settings.home)
    speakers, watch = Speakers(orchestrator), Watch.of(server, orchestrator)
    async with anyio.create_task_group() as group:
        group.start_soon(speakers.keep)
        group.start_soon(watch.run)
        try:
            yield Attendance(orchestrator, speakers, watch)
        finally:
            group.cancel_scope.cancel("the server ends")
            if leaves:
                await speakers.leave()
