"""The host: the process that a state home lives in while nobody looks. Fronts, commands and runs share it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.membership import STANDBY
from mcp_orchestrator.core.schedules import Schedules
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.host.desk import Desk
from mcp_orchestrator.host.files import rotate
from mcp_orchestrator.release import version
from mcp_orchestrator.server.app import furnish
from mcp_orchestrator.server.attendance import attended

__all__ = ["Host", "announce"]

LOOK_EVERY = 0.25
TRY_EVERY = 0.005
Admit = Callable[[], socket.socket | None]
log = logging.getLogger(__name__)


class Host:
    """Serves the fronts of one state home until it is told to stop, or has had nothing to do for long enough."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        listener: socket.socket | Admit | None,
        *,
        logged: bool,
        desk: Desk | None = None,
        leaving: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the orchestrator and the listening socket, or who gives it once there is no other host (else None).

        A ``desk`` that listens already needs neither. ``logged`` says that the output goes to the log file; ``leaving``
        is called when it begins to stop.
        """
        self._orchestrator, self._listener, self._logged = orchestrator, listener, logged
        self._desk = desk or Desk()
        furnish(self._desk.server)
        self._schedules = Schedules(orchestrator.journal)
        self._stop, self._leaving = anyio.Event(), leaving
        self._why = ""
        self._draining = False
        self._begun = 0.0

    @property
    def clients(self) -> int:
        """How many fronts are connected."""
        return len(self._desk.sessions)

    @property
    def retiring(self) -> bool:
        """Whether it hands over to a newer host as soon as it has nothing to do."""
        return self._desk.retiring

    async def run(self) -> None:
        """Work until it is time to stop; unfinished runs then wait for the next one."""
        self._begun = anyio.current_time()
        kind = STANDBY if callable(self._listener) else "host"
        async with (
            self._orchestrator.running(kind=kind),
            attended(self._desk.server, self._orchestrator) as attendance,
            anyio.create_task_group() as group,
        ):
            self._desk.open(attendance, {"status": self._status, "stop": self._asked_to_stop})
            group.start_soon(self._signals)
            await self._serve(group)
            group.cancel_scope.cancel(self._why)

    async def _serve(self, group: TaskGroup) -> None:
        """Wait until there is no other host, then answer until it is time to stop."""
        listener = self._listener
        if callable(listener):
            await self._orchestrator.prepare()
            while (given := listener()) is None:
                if self._stop.is_set():
                    return
                await anyio.sleep(TRY_EVERY)
            listener = given
        with listener or contextlib.nullcontext():
            group.start_soon(self._look)
            if listener is not None:
                group.start_soon(self._desk.listen, listener)
            announce("READY=1")
            await self._stop.wait()
            log.info("stopping: %s", self._why)
            announce("STOPPING=1")
            async with anyio.create_task_group() as told:  # side by side: some may not listen
                for session in list(self._desk.sessions):
                    told.start_soon(session.end)

    def end(self, why: str) -> None:
        """Stop in good order."""
        self._why = self._why or why
        if not self._stop.is_set():
            self._leaving()
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
            if not self._orchestrator.settings.home.exists():
                self.end("its state home is gone")
                return
            if self._logged:
                rotate(self._orchestrator.settings.home)
            busy = self._orchestrator.busy()
            asked = any(one.busy for one in self._desk.sessions) or self._orchestrator.followers > 0
            if not busy and (self._draining or (self.retiring and not asked)):
                self.end("drained" if self._draining else "a newer version takes over")
            if busy or self._desk.sessions or self._orchestrator.followers:
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
