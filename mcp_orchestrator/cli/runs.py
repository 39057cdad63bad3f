"""Runs: listed, shown, followed, cancelled, resumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.history import draw, happened, prune, said, worked
from mcp_orchestrator.cli.report import COLOURS, report, save
from mcp_orchestrator.cli.screen import document, figure, note, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.work import follow, leave, work

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.core.rows import RunRow
    from mcp_orchestrator.view import RunView

__all__ = ["cancel", "resume", "runs"]

FOLDER = click.Path(file_okay=False, path_type=Path)
STATES = (
    "queued",
    "running",
    "paused",
    "waiting",
    "cancelling",
    "succeeded",
    "degraded",
    "failed",
    "cancelled",
    "timed_out",
)
LEVELS = ("debug", "info", "warning", "error", "critical")


class Runs(Printing):
    """The command that shows runs; followed by the word prune, it is the one that forgets them."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own
    ) -> click.Context:
        """Begin the command that is meant."""
        if args[:1] == ["prune"]:
            return prune.make_context(f"{info_name} prune", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=Runs)
@click.argument("run", metavar="[ID]", required=False, shell_complete=completion.runs)
@click.option("--follow", "followed", is_flag=True, help="Wait for its end; Ctrl-C only stops looking.")
@click.option("--steps", is_flag=True, help="Show its steps and attempts, and what they used.")
@click.option("--events", is_flag=True, help="Show what happened in it, in order.")
@click.option("--log", is_flag=False, flag_value="", metavar="[STEP]", help="Show its log, or that of one step.")
@click.option("--level", type=click.Choice(LEVELS), help="With --log: only lines from this level up.")
@click.option("--timeline", is_flag=False, flag_value="", metavar="[FILE.png]", help="Show when what was done.")
@click.option("--save", "folder", type=FOLDER, help="Copy its card and plots under their names into a folder.")
@click.option("--status", type=click.Choice(STATES), multiple=True, help="Only runs in this state; may be given again.")
@click.option("--most", type=click.IntRange(1, 1000), default=20, help="List so many; 20 by default.")
@session
def runs(
    session: Session,
    run: str | None,
    *,
    log: str | None,
    level: str | None,
    timeline: str | None,
    folder: Path | None,
    status: tuple[str, ...],
    most: int,
    followed: bool,
    steps: bool,
    events: bool,
) -> None:
    """List the runs, newest first, or show one.

    ID may be the beginning of an id, six characters or more. `runs prune --older-than DAYS` forgets runs that ended
    long ago.
    """
    views = {"--steps": steps, "--events": events, "--log": log is not None, "--timeline": timeline is not None}
    _fits(run, [name for name, wanted in views.items() if wanted], level)
    orchestrator = session.orchestrator()
    if run is None:
        _listed(session, [orchestrator.view(row) for row in _rows(orchestrator, status, most)])
    elif steps:
        worked(session, orchestrator, run)
    elif events:
        happened(session, orchestrator, run, followed=followed)
    elif log is not None:
        said(session, orchestrator, run, log, level or "", followed=followed)
    elif timeline is not None:
        draw(session, orchestrator, run, timeline)
    elif followed:
        leave(session, session.run(lambda running: follow(running, run, quiet=session.json)))
    else:
        found = orchestrator.view(orchestrator.journal.run(run))
        facts = found.model_dump(mode="json")
        document(facts) if session.json else report(found)
        if folder is not None:
            saved = save(facts.get("artifacts", []), folder)
            note(f"Saved {figure([one.name for one in saved]) or 'nothing'} in {folder}.")


@click.command(cls=Printing)
@click.argument("run", metavar="ID", shell_complete=completion.runs)
@session
def cancel(session: Session, run: str) -> None:
    """Stop a run, whichever process works on it.

    Its worker processes end at once; what its finished steps made is kept.
    """

    async def doing(orchestrator: Orchestrator) -> RunView:
        return orchestrator.view(await orchestrator.cancel(run))

    found = session.run(doing)
    if session.json:
        document(found.model_dump(mode="json"))
    else:
        click.echo(f"{found.run_id}: {found.status}")


@click.command(cls=Printing)
@click.argument("run", metavar="ID", shell_complete=completion.runs)
@session
def resume(session: Session, run: str) -> None:
    """Go on with a run after its last finished step.

    For a run that was cancelled, paused or cut off, or that failed; this process works on it.
    """

    async def doing(orchestrator: Orchestrator) -> RunView:
        row = await orchestrator.resume(run)
        return await work(orchestrator, row.id, quiet=session.json)

    leave(session, session.run(doing, preload=True))


def _rows(orchestrator: Orchestrator, status: tuple[str, ...], most: int) -> list[RunRow]:
    """Return runs as they are to be seen: one whose process died does not count as running."""
    seen = [orchestrator.engine.seen(row) for row in orchestrator.journal.runs(most=most if not status else 1000)]
    return [row for row in seen if not status or row.status in status][:most]


def _listed(session: Session, found: list[RunView]) -> None:
    if session.json:
        document([one.brief() | {"error": one.error} for one in found])
        return
    columns = ("run", "workflow", "status", "progress", "seconds", "message")
    rows = [
        [one.run_id, one.workflow, one.status, f"{one.progress:.0%}", one.seconds, one.error or one.message]
        for one in found
    ]
    table(columns, rows, styles=COLOURS)


def _fits(run: str | None, views: list[str], level: str | None) -> None:
    """Refuse options that do not go together."""
    if len(views) > 1:
        raise click.UsageError(f"{' and '.join(views)} show different things; give one of them.")
    if views and run is None:
        raise click.UsageError(f"{views[0]} needs the id of a run; `mcp-orchestrator runs` lists them.")
    if level and views != ["--log"]:
        raise click.UsageError("--level belongs to --log.")
