"""What can be read by its address: runs and components, as the tools tell them in full."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.results import RunAnswer, compact
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.tools.components import describe

__all__ = ["publish"]

JSON = "application/json"


def publish(server: MCPServer[Orchestrator]) -> None:
    """Add the resources to a server."""
    server.resource("run://{run_id}", name="run", title="A run", mime_type=JSON)(run)
    server.resource("component://{name}", name="component", title="A component", mime_type=JSON)(component)


async def run(run_id: str, ctx: Session) -> str:
    """A run with its steps and, when it has ended, its results."""
    found = await _found(partial(_run, orchestrator(ctx), run_id))
    return compact(found.facts())


async def component(name: str, ctx: Session) -> str:
    """A component with the schema of each capability; or train, evaluate: the schema of the specification."""
    found = await _found(partial(describe, orchestrator(ctx), name))
    return compact(found.facts())


async def _found(look: partial[Any]) -> Any:  # noqa: ANN401 - whatever is looked for
    try:
        return await to_thread.run_sync(look)
    except UnknownName as error:
        raise ResourceNotFoundError(str(error)) from error


def _run(orchestrator: Orchestrator, run_id: str) -> RunAnswer:
    return RunAnswer.of(orchestrator.view(orchestrator.journal.run(run_id)), "full")
