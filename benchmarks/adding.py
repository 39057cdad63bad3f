"""Servers with a tool that adds two numbers: a bare one of the SDK, and ours with the tool among its own.

As a process: ``python adding.py bare stdio``, ``bare http``, ``ours http PROJECT``, or ``ours host PROJECT``, which is
a host for fronts. What listens says so: at which address, or that it is ready.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import MCPServer
from pydantic import Field

from mcp_orchestrator.server import app, http
from mcp_orchestrator.server.lean import lean
from mcp_orchestrator.server.results import Answer
from mcp_orchestrator.server.session import Session
from mcp_orchestrator.server.tools import published
from mcp_orchestrator.settings import Settings

__all__ = ["bare", "ours"]


class Sum(Answer):
    """A sum."""

    result: int


async def add(
    ctx: Session, a: Annotated[int, Field(description="One.")], b: Annotated[int, Field(description="Two.")]
) -> Sum:
    """Add two numbers."""
    del ctx
    return Sum(result=a + b)


def bare() -> MCPServer[Any]:
    """Return a server of the SDK with that tool alone."""
    server: MCPServer[Any] = MCPServer("bare", log_level="WARNING")  # what is logged costs time

    @server.tool()
    async def add(a: int, b: int) -> int:  # pyright: ignore[reportUnusedFunction] - the server has it
        """Add two numbers."""
        return a + b

    return server


def ours() -> None:
    """Have our servers of this process publish that tool among their own."""
    known = [*published(), lean(add, "Add", reads=True)]
    app.published = http.published = lambda: known


def main() -> None:
    """Serve."""
    kind, how, *rest = sys.argv[1:]
    if kind == "bare" and how == "stdio":
        bare().run("stdio")
    elif kind == "bare":
        anyio.run(over_http)
    else:
        ours()
        settings = Settings.load(Path(rest[0]))
        if how == "host":
            from mcp_orchestrator.host.begin import be

            be(settings, waits=None, ready=lambda: print("ready", flush=True))
        else:
            from mcp_orchestrator.app import Orchestrator

            http.serve_http(Orchestrator(settings=settings), port=0)


async def over_http() -> None:
    """Serve the bare server at a free port, as its own ``run`` does at one that is given."""
    import uvicorn

    with http.listen("127.0.0.1", 0) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
        config = uvicorn.Config(bare().streamable_http_app(), log_level="warning")
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    main()
