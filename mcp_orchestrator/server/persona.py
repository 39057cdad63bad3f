"""Who may do what, where the requests of all transports come by: scopes of tokens, and the read-only server."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, TypeAlias

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST, CallToolResult, TextContent

from mcp_orchestrator.server.scopes import PROMOTE, READ, Guarded, allows, needed

__all__ = ["Guard", "decides", "token_of"]

decides: ContextVar[bool] = ContextVar("decides", default=True)
"""Whether who asks may answer what a run asks a person."""
Request: TypeAlias = "ServerRequestContext[Any, Any]"


class Guard:
    """A middleware that refuses what a request may not do, and lists for a session that only reads what that is."""

    def __init__(self, tools: Mapping[str, Guarded]) -> None:
        """Take all tools by their names."""
        self._tools = tools

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        """Pass a request on, or refuse it with what it would need; a model reads that as the error of its call."""
        wanted = needed(ctx.method, ctx.params, self._tools)
        problem = self._problem(ctx, wanted)
        if not problem:
            decides.set(not self._problem(ctx, PROMOTE))
            return self._shown(ctx, await call_next(ctx))
        if ctx.method != "tools/call":
            raise MCPError(INVALID_REQUEST, problem)
        return CallToolResult(content=[TextContent(type="text", text=f"[not_allowed] {problem}")], is_error=True)

    def _problem(self, ctx: Request, wanted: str) -> str:
        what = (ctx.params or {}).get("name", ctx.method) if ctx.method == "tools/call" else ctx.method
        if _reads(ctx) and wanted != READ:
            return f"This server is read-only, and {what} changes something. tools/list has what can be asked here."
        token = token_of(ctx)
        if token is None or allows(token.scopes, wanted):
            return ""
        given = " ".join(token.scopes) or "none"
        return f"{what} needs the scope {wanted}; the token has {given}. Ask whoever runs the server for another token."

    def _shown(self, ctx: Request, answer: HandlerResult) -> HandlerResult:
        if ctx.method != "tools/list" or not _reads(ctx) or not isinstance(answer, dict):
            return answer
        reading = {name for name, one in self._tools.items() if one.needs({}) == READ}
        return {**answer, "tools": [one for one in answer["tools"] if one["name"] in reading]}


def _reads(ctx: Request) -> bool:
    """Whether a session only reads, whatever its token says."""
    return getattr(ctx.lifespan_context, "read_only", False)


def token_of(ctx: Request) -> AccessToken | None:
    """Return the token of a request, or None where none is needed: a session's later requests may bring another one."""
    user = getattr(ctx.request, "scope", {}).get("user")
    return user.access_token if isinstance(user, AuthenticatedUser) else get_access_token()
