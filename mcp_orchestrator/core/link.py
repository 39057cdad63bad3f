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
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import anyio

from mcp_orchestrator.core.lines import Lines, connected
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.errors import InvalidInput, NotAllowed, revive

__all__ = ["Hello", "Link", "LinkLost", "greeting"]

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


def greeting(line: bytes | None) -> Hello:
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
            link = cls(lines, greeting(await lines.receive()))
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
