"""Before a request over HTTP reaches the server: by which name it came, whose it is, how large, how often, what it may.

Each refusal has its own status, in this order: 421 and 403 for a foreign Host or Origin, 404, 401 without a valid
token, 429 for too many requests of one subject, 503 while the server ends, 413 and 408 for a body that is too large or
takes too long, and 403 for a scope that the token does not have.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import anyio
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.authentication import AuthCredentials
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from mcp_orchestrator.server.rate import Rate
from mcp_orchestrator.server.scopes import READ, SCOPES, allows

if TYPE_CHECKING:
    from mcp.server.auth.provider import AccessToken
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mcp_orchestrator.server.auth import Verifier

__all__ = ["PATH", "Called", "Gate", "Limits"]

PATH = "/mcp"
METADATA = "/.well-known/oauth-protected-resource"
LISTENS = "subscriptions/listen"
AGAIN = 5


class Limits(NamedTuple):
    """What a request may cost: bytes and seconds of its body, and requests a minute of one subject (0: any number)."""

    body: int
    seconds: float
    rate: int = 0


class Called(NamedTuple):
    """How the server is called: its address, and the values of Host and Origin that are its own or allowed."""

    url: str
    names: frozenset[str]
    origins: frozenset[str]


class Gate:
    """An application that lets through to another what may pass."""

    def __init__(
        self,
        app: ASGIApp,
        called: Called,
        limits: Limits,
        needs: Callable[[str, Mapping[str, Any] | None], str],
        *,
        verifier: Verifier | None = None,
        issuer: str = "",
    ) -> None:
        """Take the server, how it is called, which scope a message needs, and who knows the tokens, if any."""
        self._app = AuthContextMiddleware(app)
        self._called, self._limits = called, limits
        self._needs, self._verifier, self._issuer = needs, verifier, issuer
        self._rate = Rate(limits.rate)
        self._calls: set[anyio.CancelScope] = set()
        self._streams: set[anyio.CancelScope] = set()
        self._idle, self._ending = anyio.Event(), False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            return
        refusal = await self._admitted(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        body, asked = b"", cast("list[Mapping[str, Any]]", [])
        if scope["method"] == "POST":
            given = await self._body(scope, receive)
            if isinstance(given, Response):
                await given(scope, receive, send)
                return
            body, asked = given, _messages(given)
            refusal = self._within(scope, asked)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            receive = _again(body, receive)
        listens = scope["method"] == "GET" or any(one.get("method") == LISTENS for one in asked)
        await self._passed(scope, receive, send, self._streams if listens else self._calls)

    async def drain(self) -> None:
        """Take no more requests, and wait until those that were taken are answered; then end who only listens."""
        self._ending = True
        while self._calls:
            self._idle = anyio.Event()
            await self._idle.wait()
        self.end()

    def end(self) -> None:
        """End all that is still going on."""
        self._ending = True
        for one in [*self._calls, *self._streams]:
            one.cancel("the server ends")

    async def _admitted(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._called.names:
            return Response("This server is not called so; --url tells it by which name it is reached.", 421)
        if any(one.lower() not in self._called.origins for one in headers.getlist("origin")):
            return Response("This origin is not allowed; the setting http_origins has those that are.", 403)
        if scope["path"] in {METADATA, METADATA + PATH} and self._verifier is not None:
            return JSONResponse(self._metadata(), headers={"Cache-Control": "max-age=3600"})
        if scope["path"] != PATH:
            return Response(f"There is nothing here; the server is at {PATH}.", 404)
        refusal = await self._known(scope, headers)
        if refusal is None and self._ending:
            refusal = Response("The server ends.", 503, headers={"Retry-After": str(AGAIN), "Connection": "close"})
        return refusal

    async def _known(self, scope: Scope, headers: Headers) -> Response | None:
        """Find out whose a request is, and refuse it when it is nobody's or one too many."""
        if self._verifier is None:
            return None
        token = await _presented(headers, self._verifier)
        if token is None:
            return self._unauthorized(given="authorization" in headers)
        scope["user"], scope["auth"] = AuthenticatedUser(token), AuthCredentials(token.scopes)
        seconds = self._rate.wait(f"{(token.claims or {}).get('iss', '')} {token.subject or token.client_id}")
        if seconds:
            text = f"More than {self._limits.rate} requests a minute; go on in {math.ceil(seconds)} s."
            return Response(text, 429, headers={"Retry-After": str(math.ceil(seconds))})
        if scope["method"] != "POST" and not allows(token.scopes, READ):
            return self._insufficient(READ)
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Response:
        """Read the body of a request, as far and as long as may be."""
        declared = Headers(scope=scope).get("content-length", "0")
        parts: list[bytes] = []
        size = int(declared) if declared.isdecimal() else 0
        try:
            with anyio.fail_after(self._limits.seconds):
                more = size <= self._limits.body
                size = 0 if more else size
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return Response(status_code=400)
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    more = message.get("more_body", False) and size <= self._limits.body
        except TimeoutError:
            text = f"The body of the request took longer than {self._limits.seconds:g} s (the setting http_seconds)."
            return Response(text, 408, headers={"Connection": "close"})
        if size > self._limits.body:
            text = f"The body of a request may have {self._limits.body} bytes (the setting http_body_mb)."
            return Response(f"{text} Name a file in the project folder.", 413, headers={"Connection": "close"})
        return b"".join(parts)

    def _within(self, scope: Scope, asked: list[Mapping[str, Any]]) -> Response | None:
        """Refuse what the token of a request has not the scope for."""
        if self._verifier is None:
            return None
        for one in asked or [{}]:
            params = one.get("params")
            method = str(one.get("method", ""))
            wanted = self._needs(method, cast("Mapping[str, Any]", params) if isinstance(params, Mapping) else None)
            if not allows(scope["auth"].scopes, wanted):
                return self._insufficient(wanted)
        return None

    async def _passed(self, scope: Scope, receive: Receive, send: Send, to: set[anyio.CancelScope]) -> None:
        """Have a request answered; when it is ended from here, its answer is closed as if it were complete."""
        begun = complete = False

        async def tell(message: Message) -> None:
            nonlocal begun, complete
            begun = begun or message["type"] == "http.response.start"
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        with anyio.CancelScope() as one:
            to.add(one)
            try:
                await self._app(scope, receive, tell)
            finally:
                to.discard(one)
                if not self._calls:
                    self._idle.set()
        if one.cancelled_caught and begun and not complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif one.cancelled_caught and not begun:
            await Response("The server ends.", 503, headers={"Retry-After": str(AGAIN)})(scope, receive, send)

    # What is said of tokens (RFC 6750, RFC 9728) ---------------------------------------------------------------------

    def _metadata(self) -> dict[str, Any]:
        known = {"resource": self._called.url, "scopes_supported": list(SCOPES), "bearer_methods_supported": ["header"]}
        return {**known, **({"authorization_servers": [self._issuer]} if self._issuer else {})}

    def _unauthorized(self, *, given: bool) -> Response:
        error = {"error": "invalid_token", "error_description": "The token is unknown or has expired"} if given else {}
        text = "A valid token is required: Authorization: Bearer TOKEN. `mcp-orchestrator token new` makes one."
        return Response(text, 401, headers={"WWW-Authenticate": self._challenge(**error, scope=READ)})

    def _insufficient(self, wanted: str) -> Response:
        said = f"The request needs the scope {wanted}"
        challenge = self._challenge(error="insufficient_scope", error_description=said, scope=wanted)
        return JSONResponse(
            {"error": "insufficient_scope", "error_description": said, "scope": wanted},
            403,
            headers={"WWW-Authenticate": challenge},
        )

    def _challenge(self, **said: str) -> str:
        base = self._called.url.removesuffix(PATH)
        parts = {**said, "resource_metadata": f"{base}{METADATA}{PATH}"}
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())


async def _presented(headers: Headers, verifier: Verifier) -> AccessToken | None:
    """Return the valid token of a request; two headers are none, since who is in between may see the other one."""
    given = headers.getlist("authorization")
    kind, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    found = await verifier.verify_token(token.strip()) if kind.lower() == "bearer" and token.strip() else None
    return None if found is None or (found.expires_at is not None and found.expires_at < time.time()) else found


def _messages(body: bytes) -> list[Mapping[str, Any]]:
    """Return the messages of a body; what is none is refused further on."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    several = cast("list[Any]", said) if isinstance(said, list) else [said]
    return [cast("Mapping[str, Any]", one) for one in several if isinstance(one, Mapping)]


def _again(body: bytes, receive: Receive) -> Receive:
    """Return how a body that was read is read again."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
