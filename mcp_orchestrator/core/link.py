"""Requests between two processes of a state home: JSON lines over a Unix socket.

Both sides begin with ``{"hello": {kind, version, pid}}``. A request is ``{id, verb, params}``; to it belong any number
of ``{id, progress: [fraction, message]}`` and one ``{id, result}`` or ``{id, code, error}``. ``{id, cancel: true}``
stops it, and its answer comes when it has stopped. What the other side asked for ends with the connection.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from mcp_orchestrator.core.lines import Lines, accepted, connected, stranger
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.errors import InvalidInput, NotAllowed, OrchestratorError, revive

__all__ = ["Handler", "Hello", "Link", "LinkLost", "listen"]

Handler = Callable[[dict[str, Any], Report], Awaitable[Any]]
Guest = Callable[["Hello", Lines], Awaitable[None]]
PATIENCE = 10.0
log = logging.getLogger(__name__)


class LinkLost(ConnectionError):
    """The other side went away before it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who speaks: what kind of process, of which version; a ``read_only`` front is offered nothing that changes things.

    A host that does not know a word of it refuses the connection: what was to read alone is never given more.
    """

    kind: str
    version: str = ""
    pid: int = field(default_factory=os.getpid)
    read_only: bool = False

    def encoded(self) -> bytes:
        """Return the line to begin with."""
        return json.dumps({"hello": asdict(self)}).encode()


def _hello(line: bytes | None) -> Hello:
    """Read the first line of the other side.

    Raises:
        LinkLost: it said nothing.
        NotAllowed: it does not speak with this user.
        InvalidInput: it speaks something else.

    """
    if line is None:
        raise LinkLost("it said nothing")
    try:
        said: dict[str, Any] = json.loads(line)
        if "refused" in said:
            raise NotAllowed(str(said["refused"]))
        return Hello(**said["hello"])
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput("hello", f"{line[:80]!r} is no greeting.") from error


# The side that answers ---------------------------------------------------------------------------------------------


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
        peer = _hello(await lines.receive())
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


async def _answer(lines: Lines, handlers: Mapping[str, Handler]) -> None:
    works: dict[int, anyio.CancelScope] = {}
    async with anyio.create_task_group() as group:
        while (line := await lines.receive()) is not None:
            asked: dict[str, Any] = json.loads(line)
            number = int(asked["id"])
            if not asked.get("cancel"):
                works[number] = anyio.CancelScope()
                group.start_soon(_perform, lines, handlers, asked, works)
            elif number in works:
                works[number].cancel("cancelled by who asked")
        group.cancel_scope.cancel("who asked is gone")


async def _perform(
    lines: Lines, handlers: Mapping[str, Handler], asked: dict[str, Any], works: dict[int, anyio.CancelScope]
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
        with anyio.CancelScope(shield=True), contextlib.suppress(ConnectionError):
            await lines.send(json.dumps({"id": number, **said}).encode())
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


# The side that asks ------------------------------------------------------------------------------------------------


class _Asked:
    """A request on its way."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.answered = anyio.Event()
        self.answer: dict[str, Any] | None = None


class Link:
    """A connection to the process that answers."""

    def __init__(self, lines: Lines, peer: Hello) -> None:
        """Take an open connection and what the other side said first."""
        self.peer = peer
        self.lost = anyio.Event()
        self._lines = lines
        self._asked: dict[int, _Asked] = {}
        self._last = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, path: str, hello: Hello) -> AsyncGenerator[Self]:
        """Connect to the socket at ``path`` and speak until the block ends.

        Raises:
            OSError: nobody listens there, or who did went away at once.
            NotAllowed: the process there belongs to another user.

        """
        lines = connected(path)
        try:
            await lines.send(hello.encoded())
            link = cls(lines, _hello(await lines.receive()))
            async with anyio.create_task_group() as group:
                group.start_soon(link._listen)
                yield link
                group.cancel_scope.cancel("the conversation is over")
        finally:
            lines.close()

    async def ask(self, verb: str, params: Mapping[str, Any], report: Report = lambda _fraction, _message: None) -> Any:  # noqa: ANN401
        """Return the answer to a request; a cancelled one is stopped there before this returns.

        Raises:
            LinkLost: the other side went away before it answered.
            OrchestratorError: what the other side answered.

        """
        if self.lost.is_set():
            raise LinkLost("the connection has ended")
        self._last += 1
        number, asked = self._last, _Asked(report)
        self._asked[number] = asked
        try:
            await self._send({"id": number, "verb": verb, "params": dict(params)})
            await asked.answered.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(PATIENCE, shield=True), contextlib.suppress(LinkLost):
                await self._send({"id": number, "cancel": True})
                await asked.answered.wait()
            raise
        finally:
            self._asked.pop(number, None)
        if asked.answer is None:
            raise LinkLost("the other side went away before it answered")
        if "code" in asked.answer:
            raise revive(asked.answer["code"], asked.answer["error"])
        return asked.answer["result"]

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._lines.send(json.dumps(message).encode())
        except ConnectionError as error:
            raise LinkLost(str(error)) from error

    async def _listen(self) -> None:
        while (line := await self._lines.receive()) is not None:
            said: dict[str, Any] = json.loads(line)
            asked = self._asked.get(said["id"])
            if asked is None:
                continue
            if "progress" in said:
                asked.report(*said["progress"])
            else:
                asked.answer = said
                asked.answered.set()
        self.lost.set()
        for asked in self._asked.values():
            asked.answered.set()
