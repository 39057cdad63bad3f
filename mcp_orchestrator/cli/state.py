"""The state of a project: made ready, and shown."""

from __future__ import annotations

from typing import Any

import click

from mcp_orchestrator.cli.screen import document, heading, table
from mcp_orchestrator.cli.session import Printing, Session, session

__all__ = ["start", "status"]


@click.command(cls=Printing)
@session
def start(session: Session) -> None:
    """Make the state home ready; again, it changes nothing."""
    found = session.run(lambda orchestrator: orchestrator.initialize())
    if session.json:
        document(found)
        return
    click.echo(f"{'Created' if found['created'] else 'Ready'}: {found['home']}")


@click.command(cls=Printing)
@session
def status(session: Session) -> None:
    """Show the project: home, components, models, runs."""
    orchestrator = session.orchestrator()
    found = orchestrator.status()
    if session.json:
        document(found)
        return
    facts = {key: value for key, value in found.items() if key not in {"active", "runs"}}
    table(("what", "value"), facts.items())
    heading("Runs")
    counts: dict[str, int] = found["runs"]
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()) or "none yet")
    active: list[dict[str, Any]] = found["active"]
    if active:
        columns = ("run_id", "workflow", "status", "progress", "message")
        table(columns, [[one.get(column) for column in columns] for one in active])
