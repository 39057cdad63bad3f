"""Becoming the host of a project: in the foreground for the command, in the background for a front."""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mcp_orchestrator.core.address import address
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.lines import bound
from mcp_orchestrator.errors import NotReady, OrchestratorError, StateUnavailable
from mcp_orchestrator.host.files import rotate
from mcp_orchestrator.host.reach import SOCKET
from mcp_orchestrator.release import version
from mcp_orchestrator.settings import Settings

if TYPE_CHECKING:
    from mcp_orchestrator.host.desk import Desk
    from mcp_orchestrator.host.process import Host

__all__ = ["background", "be"]

ENDS_WITHIN = 60.0
READY = 2  # the second time that it is not admitted, it has all that it needs to go on at once


def be(
    settings: Settings, *, waits: Callable[[], None] | None, ready: Callable[[], None], logged: bool = False
) -> None:
    """Be the host until it is time to stop.

    Where there is one already, return; or, with ``waits``, call that and wait to take over. ``ready`` is called when
    nothing keeps it from working any more; ``logged`` says that what it writes goes to its log file.

    Raises:
        StateUnavailable: the state home cannot be used.

    """
    lock = Leadership(settings.home, "host")
    path, tries = "", 0

    def admit() -> socket.socket | None:
        """Become the host, if there is no other: fronts connect from then on, and wait for their answers."""
        nonlocal tries
        if lock.acquire("host", version()):
            return bound(path)
        tries += 1
        if tries == READY and waits is not None:
            waits()
        return None

    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = address(str(settings.home), SOCKET)
        listener = admit()
        if listener is None and waits is None:
            return
        os.chdir(settings.project)
        if logged:
            rotate(settings.home)
        _work(settings, listener or admit, ready, logged=logged)
    except OSError as error:
        if isinstance(error, OrchestratorError):
            raise
        place = f"The state home {settings.home} cannot be used: {error}."
        raise StateUnavailable(f"{place} Choose another with MCP_ORCHESTRATOR_HOME.") from error
    finally:
        if lock.leads:
            Path(path).unlink(missing_ok=True)
        lock.release()
        faulthandler.cancel_dump_traceback_later()


def background(project: str, descriptor: int) -> None:
    """Be the host that a front started, if there is none; what keeps it from that is written to ``descriptor``."""
    told = os.fdopen(descriptor, "w")
    try:
        be(Settings.load(project), waits=None, ready=told.close, logged=True)
    except Exception as error:  # noqa: BLE001 - this is the process's surface
        cause = _cause(error)
        if isinstance(cause, OrchestratorError):
            print(cause, file=sys.stderr)  # noqa: T201 - to the log of the host
        else:
            traceback.print_exception(error)
        if not told.closed:
            told.write(str(cause) or type(cause).__name__)
            told.close()
        sys.exit(1)


def _cause(error: BaseException) -> BaseException:
    """Return the one error inside a group of one, which is how a task group hands on what happened in it."""
    inner = cast("tuple[BaseException, ...]", getattr(error, "exceptions", ()))
    return _cause(inner[0]) if len(inner) == 1 else error


def _work(
    settings: Settings,
    listener: socket.socket | Callable[[], socket.socket | None],
    ready: Callable[[], None],
    *,
    logged: bool,
) -> None:
    import anyio

    from mcp_orchestrator import logs

    logs.start(settings.log_level)
    if isinstance(listener, socket.socket):
        anyio.run(partial(_meet, settings, listener, ready, logged=logged))
    else:
        host = _loaded(settings, listener, logged=logged)
        ready()
        anyio.run(host.run)


async def _meet(settings: Settings, listener: socket.socket, ready: Callable[[], None], *, logged: bool) -> None:
    """Meet the clients that wait already, and load what answers the rest of their questions meanwhile."""
    import anyio
    from anyio import to_thread

    from mcp_orchestrator.host.desk import Desk

    desk = Desk()
    with listener:
        async with anyio.create_task_group() as group:
            group.start_soon(desk.listen, listener)
            if logged:  # a front started it, and waits for an answer
                await desk.greeted()
            try:
                host = await to_thread.run_sync(partial(_loaded, settings, None, logged=logged, desk=desk))
                ready()
                await host.run()
            except Exception as error:  # noqa: BLE001 - who waits for an answer is told what it is, and so is the log
                cause = _cause(error)
                known = cause if isinstance(cause, OrchestratorError) else NotReady(f"{type(cause).__name__}: {cause}")
                await desk.fail(known)
                raise cause from cause.__cause__
            group.cancel_scope.cancel("the host ends")


def _loaded(
    settings: Settings,
    listener: Callable[[], socket.socket | None] | None,
    *,
    logged: bool,
    desk: Desk | None = None,
) -> Host:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.host.process import Host

    # What keeps it from ending shows in its log, and keeps it no longer: the next host takes over what is left.
    leaving = partial(faulthandler.dump_traceback_later, ENDS_WITHIN, exit=True)
    return Host(Orchestrator(settings=settings, preload=True), listener, logged=logged, desk=desk, leaving=leaving)
