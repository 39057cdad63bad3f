"""A look at the machine and at the state of the project: what is fine, what is worth knowing, what must be mended."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.machine import Finding, machine
from mcp_orchestrator.cli.progress import Bar
from mcp_orchestrator.cli.screen import document
from mcp_orchestrator.cli.session import Printing, Session, session
from orchestrator_memory.sqlite import sqlite3

if TYPE_CHECKING:
    from mcp_orchestrator.settings import Settings

__all__ = ["doctor", "remembered", "report"]

LIGHT = "early_stopping"
SIGNS = {"ok": ("ok     ", "green"), "note": ("note   ", "yellow"), "problem": ("problem", "red")}


@click.command(cls=Printing)
@session
def doctor(session: Session) -> None:
    """Check machine and project, and say what to do.

    Changes nothing. The exit code is 1 when there is a problem; a note is none.
    """
    report(session, findings(session))


def report(session: Session, findings: Iterable[Finding]) -> None:
    """Say each finding as it comes; the exit code is 1 when one is a problem."""
    found: list[Finding] = []
    for one in findings:
        found.append(one)
        if not session.json:
            _say(one)
    if session.json:
        document([asdict(one) for one in found])
    if any(one.state == "problem" for one in found):
        click.get_current_context().exit(Exit.UNEXPECTED)


def findings(session: Session) -> Iterator[Finding]:
    """Ask all questions, the ones that cost time last."""
    from mcp_orchestrator.errors import InvalidInput

    try:
        settings = session.settings()
    except InvalidInput as error:
        yield Finding("settings", "problem", str(error), "Correct orchestrator.toml or the environment.")
        return
    yield Finding("settings", "ok", f"project {settings.project}")
    yield from machine(settings)
    if (settings.home / "orchestrator.db").exists():
        yield from state(settings.home)
    if (settings.home / "memory.db").exists():
        yield summary(list(remembered(settings.home)))
    yield from components(settings)
    with Bar("starting a worker", quiet=session.json):
        one = worker(settings)
    yield one


def state(home: Path) -> Iterator[Finding]:
    """Look into the databases, and for runs and owners that a killed process left behind."""
    from mcp_orchestrator.core.journal import Journal
    from mcp_orchestrator.core.rows import Status

    for file in sorted(home.glob("*.db")):
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
                answer = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.Error as error:
            answer = str(error)
        if answer != "ok":
            then = f"Stop all servers, keep a copy of {file}, and go back to a backup beside it (*.bak) or remove it."
            yield Finding("database", "problem", f"{file.name} is damaged: {answer}", then)
            return
    yield Finding("database", "ok", "no damage found")
    journal = Journal(home)
    cut = [row for row in journal.runs(status=(Status.RUNNING,), most=1000) if not journal.owners.alive(row.owner)]
    for row in cut:
        then = f"mcp-orchestrator resume {row.id[:8]}; a server takes it over when it starts."
        yield Finding("run", "note", f"Run {row.id} was cut off when its process ended.", then)
    stale = [file for file in sorted((home / "owners").glob("*")) if not journal.owners.alive(file.name)]
    if stale:
        text = f"{len(stale)} processes that worked here were killed; their locks are released."
        yield Finding("owners", "note", text, f"Nothing; the files may be removed: {' '.join(map(str, stale))}")
    elif not cut:
        yield Finding("runs", "ok", "none was cut off")


def remembered(home: Path) -> Iterator[Finding]:
    """Look into the memory of the project."""
    from orchestrator_memory.doctor import examine

    for one in examine(home / "memory.db"):
        yield Finding(one.name, "problem" if not one.ok else "note" if one.then else "ok", one.text, one.then)


def summary(found: list[Finding]) -> Finding:
    """Return what there is to say about the memory in one line: the worst of it."""
    worst = max(found, key=lambda one: list(SIGNS).index(one.state))
    if worst.state == "ok":
        return Finding("memory of the agents", "ok", f"{len(found)} questions found nothing wrong")
    return Finding("memory of the agents", worst.state, worst.text, worst.then or "mcp-orchestrator memory doctor")


def components(settings: Settings) -> Iterator[Finding]:
    """Say which components cannot run here."""
    from mcp_orchestrator.core.registry import Registry
    from mcp_orchestrator.errors import InvalidInput, MissingLibrary

    try:
        known = list(Registry(settings.components))
    except InvalidInput as error:
        yield Finding("components", "problem", str(error), "Correct the settings, or the package that registers it.")
        return
    missing = [one for one in known if one.missing]
    for one in missing:
        if one.problem is not None:
            yield Finding("component", "problem", str(one.problem), "Correct it, or the package that registers it.")
            continue
        line = str(MissingLibrary(one.name, one.missing or "", one.about.extra)).rpartition(": ")[2]
        state = "note" if one.about.extra else "problem"
        yield Finding("component", state, f"{one.name} needs {one.missing}, which is not installed.", line)
    yield Finding("components", "ok", f"{len(known) - len(missing)} of {len(known)} can run")


def worker(settings: Settings) -> Finding:
    """Let a light component compute its known answer in a worker process, in a state home that is gone afterwards."""
    import anyio

    from mcp_orchestrator.core.executors import Task, Workers
    from mcp_orchestrator.core.health import KNOWN_ANSWER, Health
    from mcp_orchestrator.errors import OrchestratorError, OutOfTime

    async def attempt(home: Path) -> Health:
        workers = Workers(settings.model_copy(update={"home": home}), preload=False)
        try:
            task = Task(component=LIGHT, capability=KNOWN_ANSWER, params={})
            with anyio.move_on_after(120):
                ref = await workers.submit(task, lambda _fraction, _message: None)
                return Health.model_validate((await workers.wait(ref)).answer())
            raise OutOfTime("It did not answer within 120 seconds.")
        finally:
            await workers.close()

    with tempfile.TemporaryDirectory(prefix="mcp-orchestrator-") as folder:
        try:
            found = anyio.run(attempt, Path(folder))
        except OrchestratorError as error:
            log = Path(folder) / "logs" / "workers.log"
            said = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
            then = f"The last thing that it said: {said[-1]}" if said else "Look at the messages of the system."
            return Finding("worker", "problem", f"No worker could do its work: {error}", then)
    if not found.healthy:
        then = "mcp-orchestrator components --health shows what came out."
        return Finding("worker", "problem", f"{LIGHT} did not compute its known answer.", then)
    return Finding("worker", "ok", f"{LIGHT} computed its {len(found.checks)} known answers in a worker")


def _say(one: Finding) -> None:
    sign, colour = SIGNS[one.state]
    click.secho(sign, fg=colour, nl=False)
    click.echo(f"  {one.check}: {one.text}")
    if one.then:
        click.echo(f"         -> {one.then}")
