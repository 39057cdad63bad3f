"""Schedules from a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from mcp_orchestrator.cli.inputs import JSON
from mcp_orchestrator.cli.screen import document, note, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.work import leave, work
from mcp_orchestrator.cli.workflows import known, request

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.core.schedules import Schedule, Schedules
    from mcp_orchestrator.view import RunView

__all__ = ["schedules"]


@click.group()
def schedules() -> None:
    """Start workflows at certain times.

    The host starts what is due (`mcp-orchestrator host start`); what was due while there was none is caught up.
    """


@schedules.command("list", cls=Printing)
@session
def show(session: Session) -> None:
    """List the schedules, with their next times."""
    _shown(session, _open(session).list())


@schedules.command(cls=Printing)
@click.argument("name")
@click.argument("cron")
@click.argument("what", metavar="NAME|FILE")
@click.option("--inputs", type=JSON, default="{}", help="What it takes: JSON, @file, or - for stdin.")
@click.option("--zone", default="UTC", help="Time zone, such as Europe/Berlin; UTC by default.")
@click.option(
    "--overlap",
    type=click.Choice(["skip", "queue", "cancel"]),
    default="skip",
    help="When the run before is not over: skip this time, queue for it, or cancel it.",
)
@click.option(
    "--catch-up",
    type=click.Choice(["skip", "one", "all"]),
    default="one",
    help="What was missed: skip it, start one run for all, or all (a hundred at most).",
)
@session
def add(session: Session, name: str, cron: str, what: str, *, inputs: dict[str, Any], **how: str) -> None:
    """Start a workflow, a template or a graph (NAME|FILE) whenever CRON says.

    CRON has five fields: minute, hour, day of month, month, day of week. "0 3 * * MON-FRI" is 03:00 on working days.
    """
    from mcp_orchestrator.errors import UnknownName

    workflow, spec = request(what, inputs)
    workflows = known(session)
    if workflow not in workflows:
        raise UnknownName("workflow", workflow, workflows)
    made = _open(session).add(workflows[workflow], name, spec, cron, **how)
    _shown(session, [made])
    note("The host of the project starts it: mcp-orchestrator host status")


@schedules.command(cls=Printing)
@click.argument("name")
@session
def pause(session: Session, name: str) -> None:
    """Start nothing until it is resumed."""
    _shown(session, [_open(session).pause(name)])


@schedules.command(cls=Printing)
@click.argument("name")
@session
def resume(session: Session, name: str) -> None:
    """Go on with the next time from now."""
    _shown(session, [_open(session).resume(name)])


@schedules.command(cls=Printing)
@click.argument("name")
@session
def remove(session: Session, name: str) -> None:
    """Forget a schedule; the runs that it started are kept."""
    _open(session).remove(name)
    if session.json:
        document({"removed": name})
    else:
        click.echo(f"{name} is removed.")


@schedules.command(cls=Printing)
@click.argument("name")
@session
def run(session: Session, name: str) -> None:
    """Start its workflow now, and wait for the end."""

    async def doing(orchestrator: Orchestrator) -> RunView:
        from mcp_orchestrator.core.schedules import Schedules

        started = await Schedules(orchestrator.journal).trigger(orchestrator, name)
        return await work(orchestrator, started, quiet=session.json)

    leave(session, session.run(doing, preload=True))


def _open(session: Session) -> Schedules:
    from mcp_orchestrator.core.schedules import Schedules

    return Schedules(session.orchestrator().journal)


def _shown(session: Session, found: list[Schedule]) -> None:
    if session.json:
        document([{**one.model_dump(mode="json"), "next": _moment(one)} for one in found])
        return
    columns = ("name", "workflow", "cron", "zone", "overlap", "catch_up")
    rows = [[*(getattr(one, name) for name in columns), _moment(one) if one.enabled else "paused"] for one in found]
    table((*columns, "next"), rows)


def _moment(one: Schedule) -> str:
    return datetime.fromtimestamp(one.next_at / 1e6, UTC).astimezone(ZoneInfo(one.zone)).isoformat(timespec="minutes")
