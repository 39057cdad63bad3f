"""What fits where something is to be filled in: an argument of a prompt, a part of an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp_types import CompleteRequestParams, CompleteResult, Completion, ResourceTemplateReference

from orchestrator_memory.names import slug

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.server.shell import Guest

__all__ = ["publish"]

MOST = 100
"""As many as the protocol allows."""


def publish(server: MCPServer[Any]) -> None:
    """Have a server complete what it publishes."""
    lowlevel = server._lowlevel_server  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK's own way hands on no context
    lowlevel.add_request_handler("completion/complete", CompleteRequestParams, _completed)


async def _completed(ctx: ServerRequestContext[Guest, Any], params: CompleteRequestParams) -> CompleteResult:
    name, begun = params.argument.name, params.argument.value.lower()
    ref = params.ref
    place = ref.uri.partition("://")[0] if isinstance(ref, ResourceTemplateReference) else f"prompt {ref.name}"
    known = await to_thread.run_sync(_known, ctx.lifespan_context.orchestrator, place, name)
    found = [one for one in known if one.startswith(begun)]
    return CompleteResult(
        completion=Completion(values=found[:MOST], total=len(found), has_more=len(found) > MOST),
    )


def _known(held: Orchestrator, place: str, name: str) -> list[str]:
    """Return all values of an argument of a prompt, or of a part of an address, as far as we know them."""
    match place, name:
        case "memory", "project":
            known = [slug(held.settings.project.name)]
        case "memory", "id":
            known = [one.uid for one in held.memory.tasks.list(most=MOST)]
        case "prompt finish_task" | "prompt handoff", "task":
            known = [one.uid for one in held.memory.tasks.list(outcome="running", most=MOST)]
        case "memory", "agent":
            known = _agents(held)
        case prompt, "agent" | "to" if prompt.startswith("prompt "):
            known = _agents(held)
        case "run", "run_id":
            known = [one.id for one in held.journal.runs(most=MOST)]
        case "component", "name":
            known = [one.name for one in held.registry]
        case _:
            known = []
    return known


def _agents(held: Orchestrator) -> list[str]:
    return [one.name for one in held.memory.agents.list() if one.retired is None]
