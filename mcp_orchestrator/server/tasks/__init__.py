"""Long work as a task (`io.modelcontextprotocol/tasks`): the call answers at once, the client asks how far it is.

A task is a run, and has its id; nothing is kept beside the journal, so a task is there after whatever ended the
server. What the handlers need is loaded when the first task is asked for: that there are tasks is said before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ClientCapabilities,
    ElicitationCapability,
    EmptyResult,
    FormElicitationCapability,
    MissingRequiredClientCapabilityErrorData,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.server.tasks.shapes import IDENTIFIER, Detailed, TaskParams, UpdateParams

if TYPE_CHECKING:
    from mcp_orchestrator.core.rows import RunRow
    from mcp_orchestrator.server.shell import Guest

__all__ = ["Tasks", "asks", "declared"]

Request: TypeAlias = "ServerRequestContext[Guest, Any]"
CLIENT = "io.modelcontextprotocol/clientInfo"


def declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether a request says that its client knows tasks."""
    capabilities = ctx.session.client_capabilities
    known = capabilities.extensions if capabilities else None
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and IDENTIFIER in (known or {})


def asks(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client of a request can put a form before a person."""
    capabilities = ctx.session.client_capabilities
    able = capabilities.elicitation if capabilities else None
    return able is not None and (able.form is not None or able.url is None)


class Tasks(Extension):
    """``tasks/get``, ``tasks/update`` and ``tasks/cancel``; which calls become tasks is for their tools to say."""

    identifier = IDENTIFIER

    def methods(self) -> Sequence[MethodBinding]:
        """Return the methods; they are of the newer era alone."""
        modern = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, _get, modern),
            MethodBinding("tasks/update", UpdateParams, _update, modern),
            MethodBinding("tasks/cancel", TaskParams, _cancel, modern),
        ]


async def _get(ctx: Request, params: TaskParams) -> Detailed:
    """Return a task as it stands."""
    from mcp_orchestrator.server.tasks.state import detailed

    row = await _asked_for(ctx, params)
    return await to_thread.run_sync(partial(detailed, ctx.lifespan_context.orchestrator, row, asks=asks(ctx)))


async def _update(ctx: Request, params: UpdateParams) -> EmptyResult:
    """Take the answers of a person; what is not asked any more is passed over, as the specification has it."""
    from mcp_orchestrator.server.questions import decision
    from mcp_orchestrator.server.tasks.state import questions

    row, held = await _asked_for(ctx, params), ctx.lifespan_context.orchestrator
    if not asks(ctx):
        raise _without_forms()
    asked = await to_thread.run_sync(questions, held, row.id)
    try:
        given = {key: decision(one, _person(ctx)) for key, one in params.input_responses.items() if key in asked}
    except InvalidInput as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error
    for key, said in given.items():
        if said is not None:
            with suppress(NotReady):  # somebody else answered, or the run ended, a moment ago
                one = asked[key]
                await held.decide(one.run, one.name, approved=said.approved, by=said.by, note=said.note)
    return EmptyResult()


async def _cancel(ctx: Request, params: TaskParams) -> EmptyResult:
    """Stop a run; one that has ended stays as it is."""
    row = await _asked_for(ctx, params)
    with suppress(NotReady):
        await ctx.lifespan_context.orchestrator.cancel(row.id)
    return EmptyResult()


async def _asked_for(ctx: Request, params: TaskParams) -> RunRow:
    """Return the run of the task that a request is about.

    Raises:
        MCPError: the client does not know tasks, says two things at once, or asks for what is not there for it.

    """
    from mcp_orchestrator.server.tasks.state import run_of

    require_client_extension(ctx, IDENTIFIER)
    headers = getattr(ctx.request, "headers", None)  # over HTTP: proxies send a request where its task is by them
    if headers is not None and decode_header_value(headers.get(MCP_NAME_HEADER)) != params.task_id:
        raise MCPError(HEADER_MISMATCH, f"The header {MCP_NAME_HEADER} must be the taskId of the request.")
    return await to_thread.run_sync(run_of, ctx.lifespan_context.orchestrator, params.task_id, subject())


def _person(ctx: Request) -> str:
    """Return by whom an answer is: whose token it came with, or else through which client."""
    info = cast("Mapping[str, Mapping[str, Any]]", ctx.meta or {}).get(CLIENT, {})
    return subject() or f"the person at {info.get('name', 'the client')}"


def _without_forms() -> MCPError:
    needed = ClientCapabilities(elicitation=ElicitationCapability(form=FormElicitationCapability()))
    data = MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
    text = "What a task asks is answered by a person: the client must declare elicitation with forms."
    facts = data.model_dump(by_alias=True, mode="json", exclude_none=True)
    return MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, text, facts)
