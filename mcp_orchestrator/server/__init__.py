"""The MCP server. Its parts are loaded when they are used: who it is, is said before the rest is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_orchestrator.server.app import build, serve_stdio
    from mcp_orchestrator.server.http import serve_http

__all__ = ["build", "serve_http", "serve_stdio"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function of `app` or `http`
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'http' if name == 'serve_http' else 'app'}"), name)
