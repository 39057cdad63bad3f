"""Where the clients of the host are met: each has a session, which begins while the rest of the host is loaded."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio import lowlevel

from mcp_orchestrator.core.answers import Handler, listen
from mcp_orchestrator.core.link import Hello
from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.host.sessions import Session
from mcp_orchestrator.release import version
from mcp_orchestrator.server.shell import Guest, Late, shell

if TYPE_CHECKING:
    from mcp_orchestrator.core.lines import Lines
    from mcp_orchestrator.core.tasks import Report
    from mcp_orchestrator.server.attendance import Attendance

__all__ = ["Desk"]

VERBS = ("status", "stop")
PATIENCE = 0.1
log = logging.getLogger(__name__)


class Desk:
    """The sessions of a host, and what it answers to commands.

    It is ``retiring`` when it has met a newer front: the host then ends as soon as it has nothing to do.
    """

    def __init__(self) -> None:
        """Begin with a server that has nothing to offer yet."""
        self.server = shell()
        self.sessions: set[Session] = set()
        self.retiring = False
        self._late = Late()
        self._open, self._greeted = anyio.Event(), anyio.Event()
        self._handlers: Mapping[str, Handler] = {}
        self._problem: OrchestratorError | None = None
        self._asked = 0

    def open(self, attendance: Attendance, handlers: Mapping[str, Handler]) -> None:
        """Answer everything from now on; the server has its tools by then."""
        self._late.attendance, self._handlers = attendance, handlers
        self._open.set()

    async def fail(self, error: OrchestratorError) -> None:
        """Answer what was asked with what keeps the host from working, and tell the fronts that it ends."""
        if self._open.is_set():
            return
        self._problem = error
        self._open.set()
        with anyio.move_on_after(PATIENCE):
            while self._asked:
                await lowlevel.checkpoint()
        for session in list(self.sessions):
            with anyio.move_on_after(1):
                await session.answered()
            await session.end()

    async def listen(self, listener: socket.socket) -> None:
        """Meet who comes until cancelled."""
        handlers = {verb: partial(self._answer, verb) for verb in VERBS}
        await listen(listener, Hello(kind="host", version=version()), handlers, guests={"front": self._front})

    async def greeted(self) -> None:
        """Wait until the first client knows who we are, if one is there."""
        with anyio.move_on_after(PATIENCE):
            await self._greeted.wait()

    async def opened(self) -> str:
        """Wait until all can be answered, and return what keeps it from that, if anything does."""
        await self._open.wait()
        return "" if self._problem is None else str(self._problem)

    async def _answer(self, verb: str, params: dict[str, Any], report: Report) -> Any:  # noqa: ANN401 - any JSON value
        self._asked += 1
        try:
            await self._open.wait()
            if self._problem is not None:
                raise self._problem
            return await self._handlers[verb](params, report)
        finally:
            self._asked -= 1

    async def _front(self, peer: Hello, lines: Lines) -> None:
        guest = Guest(self._late, read_only=peer.read_only)
        session = Session(self.server, guest, lines, self.opened, self._greeted.set)
        self.sessions.add(session)
        if _older(version(), peer.version):
            log.info("a front of version %s is newer; this host hands over when it is idle", peer.version)
            self.retiring = True
        try:
            await session.serve()
        finally:
            self.sessions.discard(session)
        if session.guest.session:  # the client has gone; one whose host goes keeps its names for the next host
            await self._late.attendance.speakers.gone(session.guest.session)


def _older(ours: str, theirs: str) -> bool:
    if ours == theirs:
        return False
    from packaging.version import InvalidVersion, Version

    try:
        return Version(ours) < Version(theirs)
    except InvalidVersion:
        return False
