"""Addresses with places to fill in, published at little cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resources import ResourceTemplate
from mcp.shared.uri_template import UriTemplate

__all__ = ["template"]


def template(
    server: MCPServer[Any],
    address: str,
    read: Callable[..., Awaitable[str | bytes]],
    *,
    name: str,
    title: str,
    mime_type: str,
) -> None:
    """Publish what is read at addresses; ``read`` takes their parts, as texts, and the context as ``ctx``.

    Made by hand, since the SDK's way takes two models of pydantic for each.
    """
    made = ResourceTemplate(
        security=server._resource_security,  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as the SDK hands it on
        uri_template=address,
        name=name,
        title=title,
        description=read.__doc__,
        mime_type=mime_type,
        fn=read,
        parameters={},
        context_kwarg="ctx",
        parsed_template=UriTemplate.parse(address),
    )
    server._resource_manager._templates[address] = made  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK takes functions only
