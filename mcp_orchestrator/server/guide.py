"""The guide for agents, `guide.md`: one page, as a prompt for people to give and as a resource for agents to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anyio import to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.resources import FunctionResource

__all__ = ["ADDRESS", "guide", "publish"]

ADDRESS = "guide://start"
ABOUT = "How to work with the orchestrator: from a table to a model, runs, promotion, memory, other agents, errors."


def publish(server: MCPServer[Any]) -> None:
    """Add the guide to a server."""
    title, media = "Guide for agents", "text/markdown"
    page = FunctionResource(uri=ADDRESS, name="guide", title=title, description=ABOUT, mime_type=media, fn=guide)
    server.add_resource(page)
    server.add_prompt(Prompt(name="guide", title=title, description=ABOUT, arguments=[], fn=_told, context_kwarg=None))


def guide() -> str:
    """Return the guide."""
    return Path(__file__).with_suffix(".md").read_text("utf-8")


async def _told() -> str:
    return await to_thread.run_sync(guide)
