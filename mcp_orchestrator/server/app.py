"""The MCP server: one object, both eras of the protocol, over stdio or HTTP on this machine."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.release import version
from mcp_orchestrator.server import prompts, resources
from mcp_orchestrator.server.tools import published

__all__ = ["build", "serve_http", "serve_stdio"]

NAME = "mcp-orchestrator"
PATH = "/mcp"
INSTRUCTIONS = """\
Begin: inspect_dataset(data), then run_ml_training_workflow(data, target), then predict(model, records).

From a table of data to a registered, honestly tested model. Files are named by paths relative to the project folder;
a table may also be a builtin (builtin:iris), a few inline rows, or the dataset:// reference of inspect_dataset.
Training and evaluation are runs: they go on in the background when the call returns, survive a restart, and are
waited for with get_run(run_id), listed with list_runs, stopped or resumed with control_run. Every answer says in
"next" what can be done.
Read the answer before you report: "degraded" and the steps tell what was skipped or failed, and why; compare "metrics"
(with 95 % intervals) with "baseline"; leakage suspects and gates say whether the figures can be trusted.
Single steps (statistics, tuning, registry, validation...) are components: find_ml_components, invoke_ml_component.
Several of them as one durable run, with conditions, loops and approvals: run_workflow."""


def build(orchestrator: Orchestrator) -> MCPServer[Orchestrator]:
    """Return the server of an orchestrator, which works from the first connection on until the server ends."""

    @asynccontextmanager
    async def lifespan(_server: MCPServer[Orchestrator]) -> AsyncGenerator[Orchestrator]:
        async with orchestrator.running(recover=True):
            yield orchestrator

    server = MCPServer(
        NAME,
        title="ML Orchestrator",
        description="Trains, tests, registers and asks models of tables.",
        instructions=INSTRUCTIONS,
        version=version(),
        tools=list(published()),
        lifespan=lifespan,
        log_level="WARNING",
    )
    resources.publish(server)
    prompts.publish(server)
    return server


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


async def _serve(server: MCPServer[Orchestrator], listener: socket.socket) -> None:
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
