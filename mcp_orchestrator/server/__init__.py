"""The MCP server. Its parts are loaded when they are used: who it is, is said before the rest is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_orchestrator.server.app import build, serve_http, serve_stdio

__all__ = ["build", "serve_http", "serve_stdio"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function of `app`
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from mcp_orchestrator.server import app

    return getattr(app, name)
