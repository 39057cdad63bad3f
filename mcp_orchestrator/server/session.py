"""What a tool holds in its hand: the orchestrator behind the request, and a way to tell how far the work is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver.context import Context

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.server.shell import Guest
from mcp_orchestrator.server.subject import subject
from mcp_orchestrator.view import RunView

__all__ = [
    "RUN_STATE",
    "Session",
    "approver",
    "called",
    "client",
    "follow",
    "introduced",
    "key",
    "once",
    "orchestrator",
    "sent_again",
    "share",
    "watched",
]

T = TypeVar("T")
Watch = Callable[[float | None, str], None]
Session = Context[Guest, Any]
TELL_EVERY = 0.5
RUN_STATE = "run "
"""How the state begins that a client keeps while a run, which its call has started, asks the person."""
approver: ContextVar[str] = ContextVar("approver", default="")
"""Who said yes to what the present call does; empty where nobody had to be asked."""


def orchestrator(ctx: Session) -> Orchestrator:
    """Return the orchestrator of this server."""
    return ctx.request_context.lifespan_context.orchestrator


def key(ctx: Session) -> str | None:
    """Return what the front calls this request, which is the same when it is sent again; None without a front."""
    return called(_meta(ctx))


def called(meta: Mapping[str, Any]) -> str | None:
    """Return the `key` of a request by what was sent with it."""
    given = meta.get("mcp-orchestrator/request")
    return given if isinstance(given, str) else None


def once(ctx: Session) -> str | None:
    """Return what a run is submitted under, so that it is one however often it is asked for.

    That is the client's own ``mcp-orchestrator/key``, which it may give again from anywhere, or the key of the request.
    """
    given = _meta(ctx).get("mcp-orchestrator/key")
    return f"given/{given}" if isinstance(given, str) and given else key(ctx)


def client(ctx: Session) -> str:
    """Return the name that the client gave itself; empty when it gave none."""
    try:
        return introduced(ctx.request_context)
    except ValueError:  # there is no request: a test calls the tool
        return ""


def introduced(asked: ServerRequestContext[Guest, Any]) -> str:
    """Return the name of the `client` of a request."""
    given = (asked.meta or {}).get("io.modelcontextprotocol/clientInfo")  # with each request, from 2026-07-28 on
    if isinstance(given, Mapping):
        return str(cast("Mapping[str, Any]", given).get("name", ""))
    params = asked.session.client_params
    return "" if params is None else params.client_info.name


def share(ctx: Session) -> str:
    """Return whose share of the machine a request counts for: that of its token, of its front, or of the client."""
    return subject() or (key(ctx) or "").partition(":")[0] or client(ctx)


def sent_again(ctx: Context[Any, Any]) -> bool:
    """Whether a host before this one died over this request."""
    return bool(_meta(ctx).get("mcp-orchestrator/resent"))


def _meta(ctx: Context[Any, Any]) -> Mapping[str, Any]:
    try:
        return cast("Mapping[str, Any]", ctx.request_context.meta or {})
    except ValueError:  # there is no request: a test calls the tool
        return {}


async def follow(ctx: Session, run: str, seconds: float) -> RunView:
    """Wait for a run up to ``seconds``, passing its progress on; who cancels this stops the waiting and not the run."""
    told = -1.0

    async def tell(row: RunRow) -> None:
        nonlocal told
        if row.progress > told:  # progress that does not grow breaks the protocol
            told = row.progress
            await ctx.report_progress(row.progress, 1.0, row.message or row.status)

    return await orchestrator(ctx).wait(run, seconds, tell)


async def watched(ctx: Session, work: Callable[[Watch], Awaitable[T]]) -> T:
    """Do some work that calls a function with its progress, from any thread, and pass that on while it lasts."""
    said = told = (0.0, "")
    done: list[T] = []

    def watch(fraction: float | None, message: str) -> None:
        nonlocal said
        said = (max(fraction or 0.0, said[0]), message)

    async def tell() -> None:
        nonlocal told
        while True:
            await anyio.sleep(TELL_EVERY)
            if said[0] > told[0]:
                told = said
                await ctx.report_progress(said[0], 1.0, said[1] or None)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(tell)
            done.append(await work(watch))
            group.cancel_scope.cancel("done")
    except ExceptionGroup as errors:  # the group wraps what the work raised
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    return done[0]
