"""What can be read by its address: runs (`history`, `pictures`), memory, models, components, as the tools tell them."""

from __future__ import annotations

from functools import partial

from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import history, memory, pictures
from mcp_orchestrator.server.history import found
from mcp_orchestrator.server.results import compact
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.tools.components import describe
from mcp_orchestrator.server.tools.models import model_facts

__all__ = ["publish"]

JSON = "application/json"


def publish(server: MCPServer[Orchestrator]) -> None:
    """Add the resources to a server."""
    history.publish(server)
    pictures.publish(server)
    memory.publish(server)
    server.resource("model://{name}", name="model", title="A registered model", mime_type=JSON)(model)
    server.resource("component://{name}", name="component", title="A component", mime_type=JSON)(component)


async def component(name: str, ctx: Session) -> str:
    """A component with the schema of each capability; or train, evaluate: the schema of the specification."""
    told = await found(partial(describe, orchestrator(ctx), name))
    return compact(told.facts())


async def model(name: str, ctx: Session) -> str:
    """A registered version: metrics, columns, classes, aliases; as name, name@3 or name@alias."""
    return compact(await found(partial(model_facts, orchestrator(ctx), name)))
