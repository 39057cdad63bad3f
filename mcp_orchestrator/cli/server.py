"""The MCP server from a terminal."""

from __future__ import annotations

import contextlib
import signal
import socket

import click

from mcp_orchestrator.cli.session import Command, Session, session

__all__ = ["serve"]

MOST = 65535


class Address(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - generic only in newer versions of click
    """HOST:PORT, or a port of this machine."""

    name = "[host:]port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return host and port."""
        host, _, port = value.rpartition(":")
        if not port.isdecimal() or int(port) > MOST:
            self.fail(f"{value!r} has no port. Give HOST:PORT, as in 127.0.0.1:8765.", param, ctx)
        return host.strip("[]") or "127.0.0.1", int(port)


@click.command(cls=Command)
@click.option("--http", type=Address(), help="Serve over HTTP at this address of this machine instead.")
@click.option("--embedded", is_flag=True, help="Do everything in this process; start no host.")
@session
def serve(session: Session, http: tuple[str, int] | None, *, embedded: bool) -> None:
    """Serve the project to agents over MCP.

    On stdin and stdout, which is how a client starts it, until the client goes away; with --http until Ctrl-C. The work
    is done by the host of the project, which is started when there is none and outlives the client.
    """
    if http is None and not embedded and hasattr(socket, "AF_UNIX"):
        from mcp_orchestrator.host.front import serve as front

        front(str(session.settings().project))
    from mcp_orchestrator.server.app import serve_http, serve_stdio

    if http is None:
        # The thread that reads stdin cannot be interrupted, so Ctrl-C ends the process; runs go on at the next start.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        serve_stdio(session.orchestrator(preload=True))
    else:
        with contextlib.suppress(KeyboardInterrupt):
            serve_http(session.orchestrator(preload=True), *http)
