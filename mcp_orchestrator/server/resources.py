"""What can be read by its address: runs (`history`, `pictures`), memory, models, components, as the tools tell them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp_types import ListResourcesResult, PaginatedRequestParams, Resource

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import history, memory, pictures
from mcp_orchestrator.server.history import found
from mcp_orchestrator.server.looks import NEWEST
from mcp_orchestrator.server.results import compact, moment
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.subscriptions import tell_of_list
from mcp_orchestrator.server.templates import template
from mcp_orchestrator.server.tools.components import describe
from mcp_orchestrator.server.tools.models import model_facts
from mcp_orchestrator.server.tools.runs import about

if TYPE_CHECKING:
    from mcp_orchestrator.server.shell import Guest

__all__ = ["publish"]

JSON = "application/json"


def publish(server: MCPServer[Any]) -> None:
    """Add the resources to a server."""
    history.publish(server)
    pictures.publish(server)
    memory.publish(server)
    template(server, "model://{name}", model, name="model", title="A registered model", mime_type=JSON)
    template(server, "component://{name}", component, name="component", title="A component", mime_type=JSON)
    lowlevel = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK lists only what was there when it began
    lowlevel.add_request_handler("resources/list", PaginatedRequestParams, partial(_list, server))


async def component(name: str, ctx: Session) -> str:
    """A component with the schema of each capability; or train, evaluate: the schema of the specification."""
    told = await found(partial(describe, orchestrator(ctx), name))
    return compact(told.facts())


async def model(name: str, ctx: Session) -> str:
    """A registered version: metrics, columns, classes, aliases; as name, name@3 or name@alias."""
    return compact(await found(partial(model_facts, orchestrator(ctx), name)))


async def _list(
    server: MCPServer[Any], ctx: ServerRequestContext[Guest, Any], _params: PaginatedRequestParams
) -> ListResourcesResult:
    """List what is always there, the newest runs and the models; who asked is told when that has changed."""
    fixed = await server.list_resources()
    await tell_of_list(ctx)
    return ListResourcesResult(resources=[*fixed, *await to_thread.run_sync(_live, ctx.lifespan_context.orchestrator)])


def _live(orchestrator: Orchestrator) -> list[Resource]:
    runs = [
        Resource(
            uri=f"run://{row.id}",
            name=f"run {row.id[:8]}",
            title=f"{row.workflow} {about(row)}".rstrip(),
            description=f"A run of {moment(row.created)}.",
            mime_type=JSON,
        )
        for row in orchestrator.journal.runs(most=NEWEST)
    ]
    what = "A registered model: the version that its name means."
    models = [
        Resource(uri=f"model://{name}", name=name, title=f"Model {name}", description=what, mime_type=JSON)
        for name in orchestrator.versions.names()
    ]
    return [*runs, *models]
