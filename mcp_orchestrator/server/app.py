"""The MCP server: one object, both eras of the protocol, over stdio or HTTP on this machine."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.server import agents, prompts, resources
from mcp_orchestrator.server.attendance import attended
from mcp_orchestrator.server.shell import Guest, Late, shell
from mcp_orchestrator.server.tools import published

__all__ = ["build", "furnish", "serve_http", "serve_stdio"]

PATH = "/mcp"


def build(orchestrator: Orchestrator) -> MCPServer[Guest]:
    """Return the server of an orchestrator, which works from the first connection on until the server ends."""

    @asynccontextmanager
    async def lifespan(server: MCPServer[Guest]) -> AsyncGenerator[Guest]:
        late = Late()
        async with (
            orchestrator.running(recover=True),
            attended(server, orchestrator, leaves=True) as late.attendance,
        ):
            yield Guest(late, secrets.token_hex(8))

    server = shell(lifespan)
    furnish(server)
    return server


def furnish(server: MCPServer[Any]) -> None:
    """Give a server its tools, resources and prompts."""
    tools = server._tool_manager._tools  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the SDK takes them when it is made, or as functions
    tools.update({one.name: one for one in published()})
    resources.publish(server)
    prompts.publish(server)
    agents.publish(server)


def serve_stdio(orchestrator: Orchestrator) -> None:
    """Serve one client over this process's input and output until the input ends."""
    build(orchestrator).run("stdio")


def serve_http(orchestrator: Orchestrator, host: str = "127.0.0.1", port: int = 8765) -> None:
    """Serve any number of clients of this machine over HTTP until the process is told to end; port 0 takes a free one.

    Raises:
        InvalidInput: the address is not one of this machine alone.
        NotReady: the port is taken.

    """
    with listen(host, port) as listener:
        anyio.run(_serve, build(orchestrator), listener)


def listen(host: str, port: int) -> socket.socket:
    """Open a port that only this machine can reach.

    Raises:
        InvalidInput: the address is not one of this machine alone.
        NotReady: the port is taken.

    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        alone = ipaddress.ip_address(address).is_loopback
    except ValueError:
        alone = False
    if not alone:
        raise InvalidInput(
            "host",
            f"{host!r} is reached from other machines, and authentication comes with a later version.",
            allowed=["127.0.0.1", "::1", "localhost"],
        )
    if not 0 <= port <= 65535:  # noqa: PLR2004 - the range of ports
        raise InvalidInput("port", f"{port} is no port.", then="Give 1 to 65535, or 0 for a free one.")
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        listener.close()
        message = f"Port {port} of {host} cannot be used: {error.strerror}. Give another, or 0 for a free one."
        raise NotReady(message) from error
    return listener


async def _serve(server: MCPServer[Guest], listener: socket.socket) -> None:
    import uvicorn

    host, port = listener.getsockname()[:2]
    names = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}", f"localhost:{port}"]
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        host=host,
        transport_security=TransportSecuritySettings(
            allowed_hosts=names,
            allowed_origins=[f"http://{name}" for name in names],
        ),
    )
    print(f"MCP over HTTP: http://{names[0]}{PATH}", file=sys.stderr, flush=True)  # noqa: T201 - whom to connect to
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])
