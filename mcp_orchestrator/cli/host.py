"""The host from a terminal: the process in the background that clients and commands share."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from mcp_orchestrator.cli.screen import document, note, table
from mcp_orchestrator.cli.session import Command, Printing, Session, session

__all__ = ["host"]

READY = 2  # the second time that it is not admitted, it has all that it needs to go on at once


@click.group()
def host() -> None:
    """Start, stop or look at the host of the project.

    It is the process in the background that owns the runs and outlives its clients. `serve` starts it when needed.
    """


@host.command(cls=Command)
@click.option("--background", is_flag=True, hidden=True, help="Started by a front: end if there is a host already.")
@click.option("--announce", "descriptor", type=int, hidden=True)
@session
def run(session: Session, descriptor: int | None, *, background: bool) -> None:
    """Be the host, in the foreground: for a service manager, or as the main process of a container.

    Where there is a host already, this one waits, and takes over when that one ends. SIGTERM ends it; its unfinished
    runs go on with the next one.
    """
    try:
        _run(session, background=background, ready=lambda: _close(descriptor))
    except Exception as error:
        if descriptor is not None:
            from mcp_orchestrator.cli.exits import cause

            os.write(descriptor, str(cause(error)).encode())
        raise
    finally:
        _close(descriptor)


def _run(session: Session, *, background: bool, ready: Callable[[], None]) -> None:
    from mcp_orchestrator.core.address import address
    from mcp_orchestrator.core.leadership import Leadership
    from mcp_orchestrator.core.lines import bound
    from mcp_orchestrator.errors import OrchestratorError, StateUnavailable
    from mcp_orchestrator.host.files import rotate
    from mcp_orchestrator.host.reach import SOCKET
    from mcp_orchestrator.release import version

    settings = session.settings()
    lock = Leadership(settings.home, "host")
    path, tries = "", 0

    def admit() -> socket.socket | None:
        """Become the host, if there is no other: fronts connect from then on, and wait for their answers."""
        nonlocal tries
        if lock.acquire("host", version()):
            return bound(path)
        tries += 1
        if tries == READY:
            note("Another host works; this one waits to take over.")
        return None

    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = address(str(settings.home), SOCKET)
        listener = admit()
        if listener is None and background:
            return
        os.chdir(settings.project)
        if background:
            rotate(settings.home)
        import anyio

        from mcp_orchestrator.host.process import Host

        worker = Host(session.orchestrator(preload=True), listener or admit, logged=background)
        ready()
        anyio.run(worker.run)
    except OSError as error:
        if isinstance(error, OrchestratorError):
            raise
        place = f"The state home {settings.home} cannot be used: {error}."
        raise StateUnavailable(f"{place} Choose another with MCP_ORCHESTRATOR_HOME.") from error
    finally:
        if lock.leads:
            Path(path).unlink(missing_ok=True)
        lock.release()


@host.command(cls=Printing)
@session
def start(session: Session) -> None:
    """Start the host in the background, if there is none; return when it answers."""
    from mcp_orchestrator.host.reach import reach

    settings = session.settings()
    _reached(lambda: reach(str(settings.project), str(settings.home)).close())
    _show(session, _state(session))


@host.command(cls=Printing)
@click.option("--drain", is_flag=True, help="Let the runs that are at work end first.")
@session
def stop(session: Session, *, drain: bool) -> None:
    """Stop the host; return when it is gone.

    Unfinished runs are put back into the queue, and go on when a host, a server or a command works here again.
    """
    import anyio

    from mcp_orchestrator.host.control import stop as end

    home = session.settings().home
    _show(session, {"stopped": anyio.run(partial(end, home, drain=drain)), "home": str(home)})


@host.command(cls=Printing)
@session
def status(session: Session) -> None:
    """Show whether the host works, and for whom."""
    _show(session, _state(session))


@host.command(cls=Command)
@click.option("--lines", "-n", type=click.IntRange(1, 10_000), default=50, help="So many from the end; 50 by default.")
@session
def logs(session: Session, lines: int) -> None:
    """Show the end of the log of a host in the background."""
    from mcp_orchestrator.host.files import log_file, tail

    path = log_file(session.settings().home)
    for line in tail(path, lines):
        click.echo(line)
    note(f"From {path}." if path.exists() else f"There is no log yet: {path}.")


def _state(session: Session) -> dict[str, Any]:
    import anyio

    from mcp_orchestrator.host.control import ask

    return anyio.run(ask, session.settings().home, "status")


def _reached(reaching: Callable[[], None]) -> None:
    from mcp_orchestrator.errors import StateUnavailable
    from mcp_orchestrator.host.reach import Unreachable

    try:
        reaching()
    except Unreachable as error:
        raise StateUnavailable(str(error)) from error


def _show(session: Session, facts: dict[str, Any]) -> None:
    if session.json:
        document(facts)
    else:
        table(("what", "value"), facts.items())


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        try:
            os.close(descriptor)
        except OSError:  # it was closed before
            return
