"""The side that answers requests of other processes of a state home; see `mcp_orchestrator.core.link`."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from mcp_orchestrator.core.lines import Lines, accepted, stranger
from mcp_orchestrator.core.link import Hello, greeting
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.errors import InvalidInput, OrchestratorError

__all__ = ["Handler", "listen"]

Handler = Callable[[dict[str, Any], Report], Awaitable[Any]]
Guest = Callable[[Hello, Lines], Awaitable[None]]
GRACE = 5.0
log = logging.getLogger(__name__)


async def listen(
    listener: socket.socket,
    hello: Hello,
    handlers: Mapping[str, Handler],
    *,
    guests: Mapping[str, Guest] | None = None,
    peers: list[Hello] | None = None,
) -> None:
    """Answer requests until cancelled.

    A peer of a kind among ``guests`` gets the connection for itself; ``peers`` is who is connected, kept up to date.
    """
    async with anyio.create_task_group() as group:
        while True:
            connection = await accepted(listener)
            if (user := stranger(connection)) is not None:
                text = f"This orchestrator belongs to user {os.getuid()}, not to user {user}; start one of your own."
                with connection, contextlib.suppress(OSError):
                    connection.sendall(json.dumps({"refused": text}).encode() + b"\n")
                continue
            group.start_soon(
                _converse, Lines(connection), hello, handlers, guests or {}, [] if peers is None else peers
            )


async def _converse(
    lines: Lines, hello: Hello, handlers: Mapping[str, Handler], guests: Mapping[str, Guest], peers: list[Hello]
) -> None:
    peer: Hello | None = None
    try:
        await lines.send(hello.encoded())
        peer = greeting(await lines.receive())
        peers.append(peer)
        if peer.kind in guests:
            await guests[peer.kind](peer, lines)
        else:
            await _answer(lines, handlers)
    except (ConnectionError, OrchestratorError) as error:
        log.info("a connection ended: %s", error)
    finally:
        if peer is not None:
            peers.remove(peer)
        lines.close()


class _Answers:
    """Sends answers whole, also when all is being stopped; who does not take them then is left after `GRACE`."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._until = math.inf
        self._sending: set[anyio.CancelScope] = set()

    async def send(self, answer: dict[str, Any]) -> None:
        with anyio.CancelScope(shield=True, deadline=self._until) as scope, contextlib.suppress(ConnectionError):
            self._sending.add(scope)
            try:
                await self._lines.send(json.dumps(answer).encode())
            finally:
                self._sending.discard(scope)

    def hurry(self) -> None:
        self._until = anyio.current_time() + GRACE
        for scope in self._sending:
            scope.deadline = self._until


async def _answer(lines: Lines, handlers: Mapping[str, Handler]) -> None:
    works: dict[int, anyio.CancelScope] = {}
    answers = _Answers(lines)
    async with anyio.create_task_group() as group:
        try:
            while (line := await lines.receive()) is not None:
                asked = _request(line)
                number = -1 if asked is None else asked["id"]
                if asked is None or ("verb" in asked and number in works):
                    log.warning("a connection ends over what is no request: %s", line[:80])
                    break
                if "verb" in asked:
                    works[number] = anyio.CancelScope()
                    group.start_soon(_perform, lines, answers, handlers, asked, works)
                elif number in works:
                    works[number].cancel("cancelled by who asked")
        finally:
            answers.hurry()
        group.cancel_scope.cancel("who asked is gone")


def _request(line: bytes) -> dict[str, Any] | None:
    """Return a request, or the wish to cancel one; None for what is neither."""
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    asked = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    if type(asked.get("id")) is not int:
        return None
    whole = isinstance(asked.get("verb"), str) and isinstance(asked.get("params"), dict)
    return asked if whole or (asked.get("cancel") and "verb" not in asked) else None


async def _perform(
    lines: Lines,
    answers: _Answers,
    handlers: Mapping[str, Handler],
    asked: dict[str, Any],
    works: dict[int, anyio.CancelScope],
) -> None:
    number = asked["id"]
    said: dict[str, Any] = {"code": "cancelled", "error": "It was cancelled by who asked."}
    try:
        async with anyio.create_task_group() as telling:
            told = _Progress(lines, number, telling)
            with works[number]:
                try:
                    handler = _handler(handlers, asked["verb"])
                    said = {"result": await handler(asked["params"], told.report)}
                except OrchestratorError as error:
                    said = {"code": error.code, "error": str(error)}
                except Exception as error:
                    log.exception("%s crashed", asked["verb"])
                    said = {"code": "step_failed", "error": f"{type(error).__name__}: {error}"}
        await answers.send({"id": number, **said})
    finally:
        works.pop(number, None)


def _handler(handlers: Mapping[str, Handler], verb: str) -> Handler:
    if verb not in handlers:
        then = "The two sides are of different versions; end the older one."
        raise InvalidInput("verb", f"{verb!r} is not known here.", allowed=sorted(handlers), then=then)
    return handlers[verb]


class _Progress:
    """Passes progress on, the latest when several came while one was sent."""

    def __init__(self, lines: Lines, number: int, group: TaskGroup) -> None:
        self._lines, self._number, self._group = lines, number, group
        self._latest: tuple[float | None, str] | None = None

    def report(self, fraction: float | None, message: str) -> None:
        waiting, self._latest = self._latest is not None, (fraction, message)
        if not waiting:
            self._group.start_soon(self._send)

    async def _send(self) -> None:
        latest, self._latest = self._latest, None
        with contextlib.suppress(ConnectionError):
            await self._lines.send(json.dumps({"id": self._number, "progress": latest}).encode())
