"""Serving over HTTP: which addresses, by which names, with whose tokens, and how it ends."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
from mcp.server.transport_security import TransportSecuritySettings

from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.server.app import build
from mcp_orchestrator.server.auth import ENVIRONMENT, Tokens
from mcp_orchestrator.server.gate import PATH, Called, Gate, Limits
from mcp_orchestrator.server.scopes import needed
from mcp_orchestrator.server.tools import published

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from uvicorn import Server

    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.server.auth import Verifier
    from mcp_orchestrator.settings import Settings

__all__ = ["Access", "application", "listen", "serve_http", "web"]

HERE = ("127.0.0.1", "::1", "localhost")
ANSWERED_WITHIN = 60.0
"""Seconds that requests have left when the server is told to end: no tool waits longer for a run."""
CLOSED_WITHIN = 5
CONNECTIONS = 1000
"""At once; and as many sessions of the older era, each of which takes 40 KB until half an hour after its last use."""


@dataclass(frozen=True)
class Access:
    """Who may use a server over HTTP, and how it is called.

    ``tokens`` is a file of tokens; without it, those of the environment or of the state home count, if there are any.
    ``jwks`` is a file or an address with the keys of an ``issuer`` whose tokens are for ``audience``. ``url`` is where
    clients reach the server when a proxy stands in front of it.
    """

    tokens: Path | None = None
    jwks: str = ""
    issuer: str = ""
    audience: str = ""
    url: str = ""
    read_only: bool = False

    def verifier(self, settings: Settings) -> Verifier | None:
        """Return who knows the tokens, or None where none are asked for.

        Raises:
            InvalidInput: the tokens are not as they must be.

        """
        if self.jwks:
            from mcp_orchestrator.server.jwt import Issued

            if self.tokens is not None:
                raise InvalidInput("tokens", "come from a file or from an issuer, not both.", then="Leave one out.")
            if not self.issuer:
                raise InvalidInput("issuer", "is required with --jwks.", then="Give what the tokens have as iss.")
            if not (self.audience or self.url):
                raise InvalidInput("audience", "is required with --jwks.", then="Give what the tokens have as aud.")
            return Issued(self.jwks, self.issuer, self.audience or self.url)
        if self.issuer or self.audience:
            raise InvalidInput("jwks", "is required with --issuer and --audience.", then="Give the keys of the issuer.")
        if self.tokens is not None:
            return Tokens(self.tokens)
        given, kept = os.environ.get(ENVIRONMENT), settings.home / "tokens"
        return Tokens(text=given) if given else Tokens(kept) if kept.exists() else None


def serve_http(
    orchestrator: Orchestrator, host: str = "127.0.0.1", port: int = 8765, access: Access | None = None
) -> None:
    """Serve any number of clients over HTTP until the process is told to end; port 0 takes a free one.

    Raises:
        InvalidInput: the address, the tokens or the way they are given cannot be accepted.
        NotAllowed: others can read the tokens.
        NotReady: the port is taken.

    """
    wanted = access or Access()
    verifier = wanted.verifier(orchestrator.settings)
    with listen(host, port, wanted.url, known=verifier is not None) as listener:
        address = listener.getsockname()
        app, gate = application(orchestrator, address[0], address[1], wanted, verifier)
        anyio.run(_serve, app, gate, listener, partial(_announce, address, wanted, verifier))


def listen(host: str, port: int, url: str = "", *, known: bool = False) -> socket.socket:
    """Open a port; one that others can reach only where requests need a token that is ``known``.

    Raises:
        InvalidInput: the address is none, or others can reach it and no token is asked for.
        NotReady: the port is taken.

    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        raise InvalidInput("host", f"{host!r} is no address of this machine.", allowed=HERE) from None
    if not known and not (place.is_loopback and (not url or urlsplit(url).hostname in HERE)):
        raise InvalidInput(
            "host",
            f"{url or host!r} is reached from other machines, and no token is asked for.",
            allowed=HERE,
            then="`mcp-orchestrator token new` makes a token; --jwks takes those of an issuer.",
        )
    if place.is_unspecified and not url:
        raise InvalidInput("url", f"is required with {host}.", then="Give the address by which clients reach it.")
    if not 0 <= port <= 65535:  # noqa: PLR2004 - the range of ports
        raise InvalidInput("port", f"{port} is no port.", then="Give 1 to 65535, or 0 for a free one.")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio leaves TCP_NODELAY off
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        listener.close()
        message = f"Port {port} of {host} cannot be used: {error.strerror}. Give another, or 0 for a free one."
        raise NotReady(message) from error
    return listener


def application(
    orchestrator: Orchestrator, host: str, port: int, access: Access, verifier: Verifier | None
) -> tuple[Starlette, Gate]:
    """Return the server as an application, whose lifespan is the server's, and the gate before it."""
    settings = orchestrator.settings
    called = _called(host, port, access.url)
    origins = called.origins | {one.lower().rstrip("/") for one in settings.http_origins}
    body = settings.http_body_mb * 1024**2
    app = build(orchestrator, read_only=access.read_only).streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=body,
        max_sessions=CONNECTIONS,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the gate has looked
    )
    tools = {one.name: one for one in published()}
    return app, Gate(
        app,
        called._replace(origins=origins),
        Limits(body, settings.http_seconds, settings.http_rate),
        lambda method, params: needed(method, params, tools),
        verifier=verifier,
        issuer=access.issuer,
    )


def _called(host: str, port: int, url: str) -> Called:
    """Return how a server at an address is called; as the proxy that stands at ``url`` has it, too, if there is one.

    Raises:
        InvalidInput: the URL is none, or not that of a server.

    """
    own = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    names = {own, f"localhost:{port}"} if ipaddress.ip_address(host).is_loopback else {own}
    origins = {f"http://{one}" for one in names}
    if not url:
        return Called(f"http://{own}{PATH}", frozenset(names), frozenset(origins))
    place = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(place.scheme)
    try:
        given = place.port or usual
    except ValueError:
        given = None
    if usual is None or given is None or not place.hostname or place.path not in {"", "/", PATH} or "@" in place.netloc:
        raise InvalidInput("url", f"{url!r} is no address of the server.", then="As in https://ml.example.org/mcp")
    bare = f"[{place.hostname}]" if ":" in place.hostname else place.hostname
    name = bare if given == usual else f"{bare}:{given}"
    names |= {name, f"{bare}:{given}"}
    origin = f"{place.scheme}://{name}"
    return Called(f"{origin}{PATH}", frozenset(names), frozenset(origins | {origin}))


def _announce(address: tuple[Any, ...], access: Access, verifier: Verifier | None) -> None:
    url = _called(address[0], address[1], access.url).url
    lines = [f"MCP over HTTP: {url}"]
    if not ipaddress.ip_address(address[0]).is_loopback:
        lines.append("Tokens travel in the clear here: a proxy must do the TLS (docs/http.md).")
    lines.append("Requests need a token." if verifier else "No token is asked for: whoever is on this machine may.")
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - whom to connect to


async def _serve(app: Starlette, gate: Gate, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until told to end; the first signal lets requests be answered, the second one does not."""
    if os.name != "posix":  # uvicorn's own way with signals
        async with app.router.lifespan_context(app):
            announce()
            await web(gate, own=True).serve(sockets=[listener])
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with app.router.lifespan_context(app), anyio.create_task_group() as group:
            server = web(gate, own=False)

            async def told() -> None:
                async for _ in signals:
                    if server.should_exit:
                        gate.end()
                        return
                    server.should_exit = True
                    group.start_soon(drained)

            async def drained() -> None:
                with anyio.move_on_after(ANSWERED_WITHIN):
                    await gate.drain()
                gate.end()

            group.start_soon(told)
            announce()
            await server.serve(sockets=[listener])
            group.cancel_scope.cancel("the server has ended")


def web(gate: Gate, *, own: bool) -> Server:
    """Return a server of HTTP for a gate, whose lifespan is begun elsewhere; signals are its ``own`` or ours."""
    import uvicorn

    from mcp_orchestrator.server.patience import Patient

    class Quiet(uvicorn.Server):
        """A server that leaves signals to us, and so has no way to die of one half started."""

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    config = uvicorn.Config(
        gate,
        http=Patient,
        ws="none",
        lifespan="off",
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=int(ANSWERED_WITHIN) + CLOSED_WITHIN,
        server_header=False,
        proxy_headers=False,
    )
    return uvicorn.Server(config) if own else Quiet(config)
