"""The host from a terminal: the process in the background that clients and commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from mcp_orchestrator.cli.screen import document, note, table
from mcp_orchestrator.cli.session import Command, Printing, Session, session

__all__ = ["host"]


def _set(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Set a setting for this process and for the host that it starts."""
    if value is not None:
        from mcp_orchestrator.settings import PREFIX

        os.environ[f"{PREFIX}{(parameter.name or '').upper()}"] = value


def placed(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command say where steps run; the settings say it for good."""
    executor = click.option(
        "--executor",
        type=click.Choice(["local", "dask", "ray"]),
        expose_value=False,
        callback=_set,
        help="Where steps run: here, or on a cluster.",
    )
    address = click.option(
        "--address",
        "executor_address",
        metavar="ADDRESS",
        expose_value=False,
        callback=_set,
        help="Address of the cluster; without one, a cluster of this machine is started.",
    )
    return executor(address(command))


@click.group()
def host() -> None:
    """Start, stop or look at the host of the project.

    It is the process in the background that owns the runs and outlives its clients. `serve` starts it when needed.
    """


@host.command(cls=Command)
@placed
@session
def run(session: Session) -> None:
    """Be the host, in the foreground: for a service manager, or as the main process of a container.

    Where there is a host already, this one waits, and takes over when that one ends. SIGTERM ends it; its unfinished
    runs go on with the next one.
    """
    from mcp_orchestrator.host.begin import be

    waits = partial(note, "Another host works; this one waits to take over.")
    be(session.settings(), waits=waits, ready=lambda: None)


@host.command(cls=Printing)
@placed
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
