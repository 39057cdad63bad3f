"""Work on a run to its end, in this process or in one of its own; Ctrl-C cancels what this process works on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli.exits import Exit, exit_of
from mcp_orchestrator.cli.progress import Bar
from mcp_orchestrator.cli.report import report
from mcp_orchestrator.cli.screen import document, note

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.cli.session import Session
    from mcp_orchestrator.view import RunView

__all__ = ["announce", "detach", "follow", "leave", "work"]


async def work(orchestrator: Orchestrator, run: str, *, quiet: bool) -> RunView:
    """Wait for a run that this process works on; an interrupt or a termination cancels it."""
    import anyio

    async with anyio.create_task_group() as group:
        await group.start(_cancel_when_asked, orchestrator, run)
        await follow(orchestrator, run, quiet=quiet)
        group.cancel_scope.cancel("the run has ended")
    return orchestrator.view(orchestrator.journal.run(run))


async def follow(orchestrator: Orchestrator, run: str, *, quiet: bool) -> RunView:
    """Wait for a run, whoever works on it, and show how far it is."""
    row = orchestrator.journal.run(run)
    with Bar(f"{row.workflow} {row.id[:8]}", quiet=quiet, lines=True) as bar:
        return await orchestrator.wait(run, None, bar.watch)


async def _cancel_when_asked(orchestrator: Orchestrator, run: str, *, task_status: Any) -> None:  # noqa: ANN401 - anyio's
    import anyio

    from mcp_orchestrator.errors import NotReady

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            note(f"Cancelling run {run[:8]} ...")
            with contextlib.suppress(NotReady):  # it ended in the same moment
                await orchestrator.cancel(run)
            return


def leave(session: Session, run: RunView) -> None:
    """Show a run that is no longer worked on, and end with the exit code that says how it went."""
    if session.json:
        document(run.model_dump(mode="json"))
    else:
        report(run)
    if run.status == "cancelled":
        note(f"Run {run.run_id} was cancelled. To go on: mcp-orchestrator resume {run.run_id[:8]}")
        click.get_current_context().exit(Exit.CANCELLED)
    if run.status == "waiting":
        note(f"Run {run.run_id} waits for a person: mcp-orchestrator approvals tells what it asks.")
    if run.status in {"failed", "timed_out"}:
        click.echo(f"Error: {run.error}", err=True)
        click.get_current_context().exit(exit_of(run.error_code))


def detach(home: Path, arguments: list[str], spec: Mapping[str, Any]) -> str:
    """Start this command again in a session of its own, which outlives the terminal, and return the id of its run.

    The other process announces the run once it is accepted; when it refuses, so does this one, in the same words.
    """
    ours, theirs = os.pipe()
    folder = home / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "detached.log").open("a") as log, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [
                sys.executable,
                "-m",
                "mcp_orchestrator",
                *arguments,
                "--spec",
                json.dumps(spec),
                "--announce",
                str(theirs),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=said,
            pass_fds=(theirs,),
            start_new_session=True,
        )
        os.close(theirs)
        with os.fdopen(ours) as announced:
            run = announced.read()
        if not run:
            code = process.wait()
            said.seek(0)
            click.echo(said.read(), err=True, nl=False)
            click.get_current_context().exit(code)
    return run


def announce(descriptor: int, run: str, home: Path) -> None:
    """Tell the process that started this one which run it is, and write to the log from now on."""
    with os.fdopen(descriptor, "w") as to:
        to.write(run)
    with (home / "logs" / "detached.log").open("a") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
