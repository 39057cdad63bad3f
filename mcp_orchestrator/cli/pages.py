"""Pages in a browser: MLflow's own, over the project's experiments."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import click

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.screen import note
from mcp_orchestrator.cli.session import Command, Session, session

__all__ = ["ui"]

HOST = "127.0.0.1"
PATIENCE = 120.0
GRACE = 10.0


@click.group()
def ui() -> None:
    """Open a page in the browser."""


@ui.command(cls=Command)
@click.option("--port", type=click.IntRange(1, 65535), help="Port; 5000, or a free one when that is taken.")
@click.option("--open/--no-open", "opened", default=False, help="Open the browser too.")
@session
def mlflow(session: Session, port: int | None, *, opened: bool) -> None:
    """Serve MLflow's page on this machine, until Ctrl-C.

    It shows the project's experiments, runs, plots and models.
    """
    from mcp_orchestrator.errors import NotReady

    store = session.settings().home / "mlflow.db"
    if not store.exists():
        message = f"There is no {store} yet: nothing was tracked in this project. Train a model first."
        raise NotReady(message)
    chosen = port or (5000 if _free(5000) else _free(0))
    log = store.parent / "logs" / "mlflow.log"
    with _server(store, chosen, log) as process:
        address = f"http://{HOST}:{chosen}"
        _await(process, address, log)
        click.echo(f"MLflow shows {store} at {address} (Ctrl-C ends it)")
        if opened:
            click.launch(address)
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()
    code = process.returncode
    if code not in {0, -signal.SIGTERM, -signal.SIGKILL}:
        click.echo(f"MLflow's server ended with code {code}; its log is {log}.", err=True)
        click.get_current_context().exit(Exit.FAILED)


@contextmanager
def _server(store: Path, port: int, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run MLflow's server in a process group of its own, of which nothing is left afterwards."""
    from mcp_orchestrator.core.environment import QUIET

    log.parent.mkdir(exist_ok=True, mode=0o700)
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - the installed mlflow
            [
                *(sys.executable, "-m", "mlflow", "server"),
                *("--backend-store-uri", f"sqlite:///{store}"),
                *("--host", HOST, "--port", str(port), "--workers", "1"),
            ],
            env={**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=store.parent,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a termination ends the server like Ctrl-C
    try:
        yield process
    finally:
        signal.signal(signal.SIGTERM, previous)
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: politely, and after a while by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _await(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the page answers.

    Raises:
        StateUnavailable: the server ended, or does not answer.

    """
    from mcp_orchestrator.errors import StateUnavailable

    note("Starting MLflow's server ...")
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(URLError, ConnectionError, TimeoutError), urlopen(f"{address}/health", timeout=5):  # noqa: S310 - our own address
            return
        time.sleep(0.2)
    message = f"MLflow's server did not come up at {address}; what it said is in {log}. Another --port may help."
    raise StateUnavailable(message)


def _free(port: int) -> int:
    """Return the port if it is free (0: any that is), else 0."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((HOST, port))
        return int(probe.getsockname()[1])
    return 0
