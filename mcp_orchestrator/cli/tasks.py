"""What agents and runs did, from a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.screen import document, heading, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.store import limit, moment, opened, since

if TYPE_CHECKING:
    from orchestrator_memory.values import Task

__all__ = ["tasks"]

OUTCOMES = ("running", "success", "partial", "failure", "cancelled")
COLOURS = {"success": "green", "partial": "yellow", "failure": "red", "cancelled": "yellow", "running": "cyan"}
TIMES = {"started", "updated", "ended"}


@click.command(cls=Printing)
@click.argument("uid", required=False, metavar="[ID]", shell_complete=completion.tasks)
@click.option("--agent", shell_complete=completion.speakers, help="Only those of this agent.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only those that ended so, or that run.")
@click.option("--run", shell_complete=completion.runs, help="Only those of this run.")
@since("those that started")
@limit(20)
@session
def tasks(session: Session, uid: str | None, limit: int, **how: Any) -> None:  # noqa: ANN401 - options
    """List the tasks, the newest first; with an ID, show one with what was delegated."""
    with opened(session) as store:
        found = [store.tasks.get(uid)] if uid else store.tasks.list(most=limit, **how)
    if session.json:
        document(found[0] if uid else found)
    elif uid:
        _shown(found[0])
    else:
        rows = [
            [one.uid, one.agent, one.outcome, _share(one), moment(one.started), _line(one.description)] for one in found
        ]
        table(("id", "agent", "outcome", "done", "started", "what"), rows, styles=COLOURS)


def _share(one: Task) -> str:
    return f"{one.progress:.0%}" if one.outcome == "running" else ""


def _line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 100 else f"{short[:97]}..."  # noqa: PLR2004 - a line


def _shown(one: Task) -> None:
    heading(_line(one.description))
    facts = one.model_dump(exclude={"delegations", "insights", "data"}, exclude_defaults=True)
    rows = [[name, moment(value) if name in TIMES else value] for name, value in facts.items() if value is not None]
    table(("what", "value"), rows, styles=COLOURS)
    if one.insights:
        heading("Insights")
        click.echo("\n".join(f"- {text}" for text in one.insights))
    if one.delegations:
        heading("Delegated")
        columns = ("number", "to", "type", "outcome", "reason", "note", "task")
        table(columns, [[getattr(each, name) for name in columns] for each in one.delegations], styles=COLOURS)
