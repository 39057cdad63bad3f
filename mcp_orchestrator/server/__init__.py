"""The MCP server."""

from mcp_orchestrator.server.app import build, serve_http, serve_stdio

__all__ = ["build", "serve_http", "serve_stdio"]
