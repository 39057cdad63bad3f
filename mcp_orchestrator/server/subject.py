"""Whose token a request came with: what it starts belongs to that one."""

from __future__ import annotations

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components

__all__ = ["subject"]


def subject() -> str | None:
    """Return who asks, by the token of the request; None where no token is needed, as on this machine's own pipes."""
    token = get_access_token()
    if token is None:
        return None
    client, issuer, name = principal_components(token)
    return f"{issuer} {name or client}" if issuer else name or client
