"""The MCP server from a terminal."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path
from typing import Any

import click

from mcp_orchestrator.cli.session import Command, Session, session

__all__ = ["serve"]

MOST = 65535
File = click.Path(dir_okay=False, path_type=Path)


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
@click.option("--http", type=Address(), help="Serve over HTTP at this address instead.")
@click.option("--embedded", is_flag=True, help="Do everything in this process; start no host.")
@click.option("--read-only", is_flag=True, help="Offer nothing that changes something.")
@click.option("--tokens", type=File, help="With --http: the file of the tokens; those of the project by default.")
@click.option("--jwks", default="", metavar="FILE|URL", help="With --http: the keys of who issues the tokens.")
@click.option("--issuer", default="", help="With --jwks: what the tokens have as iss.")
@click.option("--audience", default="", help="With --jwks: what they have as aud; the --url by default.")
@click.option("--url", default="", help="With --http: the address by which clients reach the proxy before it.")
@session
def serve(session: Session, http: tuple[str, int] | None, *, embedded: bool, **how: Any) -> None:  # noqa: ANN401 - options
    """Serve the project to agents over MCP.

    On stdin and stdout, which is how a client starts it, until the client goes away; with --http until Ctrl-C. The work
    is done by the host of the project, which is started when there is none and outlives the client.
    """
    read_only = how["read_only"]
    if http is None:
        given = [f"--{name}" for name, value in how.items() if value and name != "read_only"]
        if given:
            raise click.UsageError(f"{given[0]} is for --http.")
        if not embedded and hasattr(socket, "AF_UNIX"):
            from mcp_orchestrator.host.front import serve as front

            front(str(session.settings().project), read_only=read_only)
        from mcp_orchestrator.server.app import serve_stdio

        # The thread that reads stdin cannot be interrupted, so Ctrl-C ends the process; runs go on at the next start.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        serve_stdio(session.orchestrator(preload=True), read_only=read_only)
        return
    with contextlib.suppress(KeyboardInterrupt):
        from mcp_orchestrator.server.http import Access, serve_http

        serve_http(session.orchestrator(preload=True), *http, Access(**how))
