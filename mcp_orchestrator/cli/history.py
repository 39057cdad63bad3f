"""The history of a run for people: its steps and attempts, its log, its timeline; and how it is forgotten."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_orchestrator.cli.report import COLOURS
from mcp_orchestrator.cli.screen import document, figure, heading, note, table, terminal
from mcp_orchestrator.cli.session import Printing, Session, session

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.core.history import History
    from mcp_orchestrator.core.rows import Event
    from mcp_orchestrator.core.runlog import Line

__all__ = ["draw", "happened", "prune", "said", "worked"]

LOOK_EVERY = 0.2
DAY = 86_400_000_000
MOST = 1000
LEVEL_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red", "DEBUG": "bright_black"}
SIGN_COLOURS = {"━": "green", "▶": "green", "✗": "red", "†": "red", "◷": "red", "⊘": "yellow", "░": "bright_black"}
SIGNS = re.compile(f"([{''.join(SIGN_COLOURS)}])\\1*")


def worked(session: Session, orchestrator: Orchestrator, run: str) -> None:
    """Show the steps of a run with their attempts, and what it used in total."""
    from mcp_orchestrator.core.history import history

    row = orchestrator.journal.run(run)
    found = history(orchestrator.journal, row)
    if session.json:
        document({"run_id": row.id, **found.facts(), "steps": found.steps})
        return
    columns = ("step", "what", "status", "attempt", "worker", "waited", "ran", "cpu s", "MB", "why")
    table(columns, _rows(found), styles=COLOURS)
    used = found.used
    if used.attempts:
        heading("In total")
        facts = ("attempts", "retries", "waited", "ran", "cpu_seconds", "memory_mb")
        table(("what", "value"), [[name, getattr(used, name)] for name in facts])
    for name in ("children", "forks"):
        if runs := getattr(found, name):
            heading(name.capitalize())
            click.echo("\n".join(runs))
    if found.about:
        heading("Where it comes from")
        table(("what", "value"), list(found.about.items()))
    if found.approvals:
        heading("Approvals")
        columns = ("name", "question", "status", "by", "note")
        table(columns, [[one.name, one.question, one.status, one.decided_by, one.note] for one in found.approvals])


def happened(session: Session, orchestrator: Orchestrator, run: str, *, followed: bool) -> None:
    """Show the events of a run; ``followed``, each as it comes, until the run has ended."""
    row = orchestrator.journal.run(run)
    events = _events(orchestrator, row.id, followed=followed)
    if not followed:
        found = list(events)
        if session.json:
            document(found)
        else:
            rows = [[_moment(one.at), one.step, one.kind, one.data] for one in found]
            table(("at", "step", "what", "data"), rows)
        return
    for one in events:
        text = f"{_moment(one.at)}  {one.step or '-'}  {one.kind}  {figure(one.data)}".rstrip()
        click.echo(one.model_dump_json() if session.json else text)


def said(session: Session, orchestrator: Orchestrator, run: str, step: str, level: str, *, followed: bool) -> None:
    """Show the log of a run, or of one step of it; ``followed``, each line as it comes, until the run has ended.

    As JSON it is one document for each line, since a log can be long.

    Raises:
        UnknownName: the run has no such step.

    """
    from mcp_orchestrator.errors import UnknownName

    row = orchestrator.journal.run(run)
    known = [one.name for one in orchestrator.journal.steps(row.id)]
    if step and step not in {*known, *(one.partition("[")[0] for one in known)} and not followed:
        raise UnknownName("step", step, known)
    empty = True
    for line in _lines(orchestrator, row.id, step, level, followed=followed):
        empty = False
        click.echo(line.model_dump_json(exclude_defaults=True) if session.json else _line(line, alone=bool(step)))
    if empty:
        note("There is nothing in the log.")


def draw(session: Session, orchestrator: Orchestrator, run: str, file: str) -> None:
    """Show the timeline of a run as text, or write it as a picture into a file."""
    from mcp_orchestrator.core.gantt import gantt
    from mcp_orchestrator.core.history import timeline_of

    found = timeline_of(orchestrator.journal, orchestrator.journal.run(run))
    if file:
        import anyio

        from mcp_orchestrator.core.picture import picture
        from mcp_orchestrator.errors import InvalidInput

        if Path(file).suffix.lower() != ".png":
            raise InvalidInput("--timeline", f"{file!r} is no PNG.", then="Give a name that ends in .png, or none.")
        if not Path(file).absolute().parent.is_dir():
            raise InvalidInput("--timeline", f"there is no folder {str(Path(file).absolute().parent)!r}.")
        Path(file).write_bytes(anyio.run(picture, found))
        note(f"Drew {file}.")
    elif session.json:
        document(found)
    else:
        text = gantt(found, shutil.get_terminal_size((100, 40)).columns)
        click.echo(_coloured(text) if terminal() else text)


@click.command(cls=Printing)
@click.option("--older-than", "days", type=click.FloatRange(0), required=True, help="Days since their end.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@session
def prune(session: Session, days: float, *, yes: bool) -> None:
    """Forget runs that ended long ago: their steps, attempts, events and logs.

    What they made stays: models, artifacts, and what MLflow knows of them.
    """
    from mcp_orchestrator.core.journal.prune import old
    from mcp_orchestrator.core.journal.prune import prune as forget
    from orchestrator_memory.door import now

    journal = session.orchestrator().journal
    found = old(journal, now() - int(days * DAY))
    if found and not yes:
        if session.json:
            raise click.UsageError("With --json, nobody can be asked; add --yes.")
        shown = f"{len(found)} runs, the oldest from {_moment(found[0].created)}"
        click.confirm(f"Forget {shown}, with their steps, attempts, events and logs?", abort=True, err=True)
    gone = forget(journal, [one.id for one in found])
    if session.json:
        document({"pruned": gone, "runs": [one.id for one in found]})
    else:
        click.echo(f"Forgot {gone} runs." if gone else f"No run ended more than {days:g} days ago.")


def _rows(found: History) -> Iterator[list[object]]:
    """Yield a row for each attempt, and one for each step without any."""
    for step in found.steps:
        what = "" if step.component == "workflow" else f"{step.component}.{step.capability}"
        if not step.attempts:
            took = None if step.status == "skipped" else step.seconds
            yield [step.name, what, step.status, None, None, None, took, None, None, step.reason]
        for one in step.attempts:
            where = f"{one.executor} {one.worker}".strip()
            used = (one.waited, one.ran, one.cpu_seconds or None, one.memory_mb or None)
            yield [step.name, what, one.status, one.number, where, *used, one.error or step.reason]


def _events(orchestrator: Orchestrator, run: str, *, followed: bool) -> Iterator[Event]:
    last = 0
    while True:
        ended = not followed or orchestrator.journal.run(run).status.final
        found = orchestrator.journal.events(run, last, MOST)
        yield from found
        last = found[-1].seq if found else last
        if ended and len(found) < MOST:
            return
        if not found:
            time.sleep(LOOK_EVERY)


def _lines(orchestrator: Orchestrator, run: str, step: str, level: str, *, followed: bool) -> Iterator[Line]:
    from mcp_orchestrator.core.runlog import read

    home, cursor = orchestrator.settings.home, ""
    while True:
        ended = not followed or orchestrator.journal.run(run).status.final
        page = read(home, run, step=step, level=level, cursor=cursor, most=MOST)
        yield from page.lines
        cursor = page.cursor
        if ended and not page.more:
            return
        if not page.more:
            time.sleep(LOOK_EVERY)


def _line(line: Line, *, alone: bool) -> str:
    """Return a line for people; in the log of one step, without its name."""
    when = ""
    if line.time:
        when = datetime.fromisoformat(line.time).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    where = "" if alone else f"{line.step or '-'}{'?' if line.guessed else ''} "
    text = f"{when} {line.level:7} {where}{line.logger}: {line.message}"
    return click.style(text, fg=LEVEL_COLOURS.get(line.level)) if terminal() else text


def _coloured(text: str) -> str:
    return SIGNS.sub(lambda found: click.style(found[0], fg=SIGN_COLOURS[found[1]]), text)


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
