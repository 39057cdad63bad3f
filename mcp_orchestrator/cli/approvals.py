"""What runs ask people, from a terminal."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.screen import document, note, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.work import leave, work

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.view import RunView

__all__ = ["approvals", "approve", "refuse"]


@click.command(cls=Printing)
@session
def approvals(session: Session) -> None:
    """List what runs ask people and wait for."""
    asked = session.orchestrator().journal.approvals()
    if session.json:
        document([one.model_dump(mode="json") for one in asked])
        return
    table(("run", "name", "question"), [(one.run[:8], one.name, one.question) for one in asked])
    if asked:
        note("mcp-orchestrator approve RUN, or refuse RUN, answers; the run goes on by itself where a host works.")


def _answer(session: Session, run: str, name: str | None, text: str, *, approved: bool) -> None:
    async def doing(orchestrator: Orchestrator) -> RunView:
        row = orchestrator.journal.run(run)
        chosen = name or _only(orchestrator, row.id)
        row = await orchestrator.decide(row.id, chosen, approved=approved, by=getpass.getuser(), note=text)
        if orchestrator.leads:  # nobody else would go on with it
            return await work(orchestrator, row.id, quiet=session.json)
        return orchestrator.view(row)

    found = session.run(doing)
    if found.status.working:
        document(found.model_dump(mode="json")) if session.json else click.echo(f"{found.run_id}: {found.status}")
    else:
        leave(session, found)


def _only(orchestrator: Orchestrator, run: str) -> str:
    from mcp_orchestrator.errors import InvalidInput, NotReady

    asked = [one.name for one in orchestrator.journal.approvals(run) if one.status == "asked"]
    if not asked:
        raise NotReady(f"Run {run} asks nothing.")
    if len(asked) > 1:
        raise InvalidInput("NAME", "the run asks more than one question.", allowed=asked)
    return asked[0]


@click.command(cls=Printing)
@click.argument("run", metavar="ID", shell_complete=completion.runs)
@click.argument("name", required=False)
@click.option("--note", "text", default="", help="What to say with it; the run's history keeps it.")
@session
def approve(session: Session, run: str, name: str | None, *, text: str) -> None:
    """Answer yes to what a run asks.

    NAME is needed only when the run asks more than one question. Your user name is kept with the answer. Where no host
    works, this process goes on with the run.
    """
    _answer(session, run, name, text, approved=True)


@click.command(cls=Printing)
@click.argument("run", metavar="ID", shell_complete=completion.runs)
@click.argument("name", required=False)
@click.option("--note", "text", default="", help="What to say with it; the run's history keeps it.")
@session
def refuse(session: Session, run: str, name: str | None, *, text: str) -> None:
    """Answer no to what a run asks.

    What the run does then is its own decision; NAME is needed only when the run asks more than one question.
    """
    _answer(session, run, name, text, approved=False)
