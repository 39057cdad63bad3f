"""The host: the process that a state home lives in while nobody looks. Fronts, commands and runs share it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.lines import Lines
from mcp_orchestrator.core.link import Hello, listen
from mcp_orchestrator.core.membership import STANDBY
from mcp_orchestrator.core.schedules import Schedules
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.host.files import rotate
from mcp_orchestrator.host.sessions import Session
from mcp_orchestrator.release import version
from mcp_orchestrator.server.app import build

__all__ = ["Host", "announce"]

LOOK_EVERY = 0.25
TRY_EVERY = 0.005
Admit = Callable[[], socket.socket | None]
log = logging.getLogger(__name__)


class Host:
    """Serves the fronts of one state home until it is told to stop, or has had nothing to do for long enough."""

    def __init__(self, orchestrator: Orchestrator, listener: socket.socket | Admit, *, logged: bool) -> None:
        """Take the orchestrator and the listening socket, or who gives it once there is no other host (else None).

        ``logged`` says that the output goes to the log file.
        A host that is ``retiring`` has met a newer front, and ends as soon as it has nothing to do.
        """
        self._orchestrator, self._listener, self._logged = orchestrator, listener, logged
        self._server = build(orchestrator)
        self._schedules = Schedules(orchestrator.journal)
        self._sessions: set[Session] = set()
        self._stop = anyio.Event()
        self._why = ""
        self._draining = self.retiring = False
        self._begun = 0.0

    @property
    def clients(self) -> int:
        """How many fronts are connected."""
        return len(self._sessions)

    async def run(self) -> None:
        """Work until it is time to stop; unfinished runs then wait for the next one."""
        self._begun = anyio.current_time()
        hello = Hello(kind="host", version=version())
        handlers = {"status": self._status, "stop": self._asked_to_stop}
        kind = "host" if isinstance(self._listener, socket.socket) else STANDBY
        async with self._orchestrator.running(kind=kind), anyio.create_task_group() as group:
            group.start_soon(self._signals)
            await self._serve(group, partial(listen, hello=hello, handlers=handlers, guests={"front": self._front}))
            group.cancel_scope.cancel(self._why)

    async def _serve(self, group: TaskGroup, listening: Callable[[socket.socket], Coroutine[Any, Any, None]]) -> None:
        """Wait until there is no other host, then answer until it is time to stop."""
        listener = self._listener
        if not isinstance(listener, socket.socket):
            await self._orchestrator.prepare()
            while (given := listener()) is None:
                if self._stop.is_set():
                    return
                await anyio.sleep(TRY_EVERY)
            listener = given
        with listener:
            group.start_soon(self._look)
            group.start_soon(listening, listener)
            announce("READY=1")
            await self._stop.wait()
            log.info("stopping: %s", self._why)
            announce("STOPPING=1")
            for session in list(self._sessions):
                await session.end()

    async def _front(self, peer: Hello, lines: Lines) -> None:
        session = Session(self._server, self._orchestrator, lines)
        self._sessions.add(session)
        if _older(version(), peer.version):
            log.info("a front of version %s is newer; this host hands over when it is idle", peer.version)
            self.retiring = True
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)

    def end(self, why: str) -> None:
        """Stop in good order."""
        self._why = self._why or why
        self._stop.set()

    async def _signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for one in signals:
                self.end(signal.Signals(one).name)
                return  # a second one ends the process

    async def _look(self) -> None:
        """End when there is nothing left to do: at once when asked to, else after the idle time."""
        worked = anyio.current_time()  # a clock that nobody sets
        while True:
            await anyio.sleep(LOOK_EVERY)
            if self._logged:
                rotate(self._orchestrator.settings.home)
            busy = self._orchestrator.busy()
            asked = any(one.busy for one in self._sessions) or self._orchestrator.followers > 0
            if not busy and (self._draining or (self.retiring and not asked)):
                self.end("drained" if self._draining else "a newer version takes over")
            if busy or self._sessions or self._orchestrator.followers:
                worked = anyio.current_time()
            elif anyio.current_time() - worked > self._orchestrator.settings.host_idle_seconds:
                if any(one.enabled for one in self._schedules.list()):
                    worked = anyio.current_time()  # who is to start runs at times must be there
                else:
                    self.end("nothing to do")

    async def _status(self, _params: dict[str, Any], _report: Report) -> dict[str, Any]:
        return {
            "running": True,
            "pid": os.getpid(),
            "version": version(),
            "home": str(self._orchestrator.settings.home),
            "leads": self._orchestrator.leads,
            "seconds": round(anyio.current_time() - self._begun, 1),
            "clients": self.clients,
            "commands": self._orchestrator.followers,
            "busy": self._orchestrator.busy(),
            "draining": self._draining,
            "retiring": self.retiring,
        }

    async def _asked_to_stop(self, params: dict[str, Any], _report: Report) -> dict[str, Any]:
        if params.get("drain"):
            self._draining = True
        else:
            self.end("asked to")
        return {"stopping": True, "draining": self._draining}


def announce(state: str) -> None:
    """Tell the service manager how far we are, where there is one (the protocol of sd_notify(3))."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to, contextlib.suppress(OSError):
        to.sendto(state.encode(), "\0" + place[1:] if place.startswith("@") else place)


def _older(ours: str, theirs: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return ours != theirs and Version(ours) < Version(theirs)
    except InvalidVersion:
        return False
