"""Whose token a request came with: what it starts belongs to that one."""

from __future__ import annotations

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components

from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.errors import NotAllowed

__all__ = ["owned", "subject"]


def subject() -> str | None:
    """Return who asks, by the token of the request; None where no token is needed, as on this machine's own pipes."""
    token = get_access_token()
    if token is None:
        return None
    client, issuer, name = principal_components(token)
    return f"{issuer} {name or client}" if issuer else name or client


def owned(row: RunRow) -> RunRow:
    """Return a run that may be changed by who asks.

    Raises:
        NotAllowed: the run was started with a token of somebody else.

    """
    asks = subject()
    if asks is not None and row.subject not in {"", asks}:
        message = f"Run {row.id} was started by {row.subject!r}, and {asks!r} asks: only the former may change it."
        raise NotAllowed(message)
    return row
