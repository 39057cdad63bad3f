"""What can be read of a run by its address: itself, its steps, events and log, its timeline as text and picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from anyio import to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.gantt import gantt
from mcp_orchestrator.core.history import history, step_of, timeline_of
from mcp_orchestrator.core.picture import picture
from mcp_orchestrator.core.runlog import read
from mcp_orchestrator.errors import OrchestratorError, UnknownName
from mcp_orchestrator.server.results import RunAnswer, compact, finite, offset
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.templates import template
from mcp_orchestrator.view import RunView, in_full

__all__ = ["found", "publish", "whole"]

T = TypeVar("T")
JSON, TEXT, PNG = "application/json", "text/plain", "image/png"
EVENTS = 200
LINES = 200


def publish(server: MCPServer[Orchestrator]) -> None:
    """Add the resources to a server."""
    template(server, "run://{run_id}", run, name="run", title="A run", mime_type=JSON)
    template(server, "run://{run_id}/steps/{step}", step, name="step", title="A step of a run", mime_type=JSON)
    address = "run://{run_id}/events{?after}"
    template(server, address, events, name="events", title="What happened in a run", mime_type=JSON)
    address = "run://{run_id}/log{?step,level,cursor}"
    template(server, address, log, name="log", title="What the steps of a run said", mime_type=JSON)
    address = "run://{run_id}/timeline"
    template(server, address, timeline, name="timeline", title="When what was done in a run", mime_type=TEXT)
    template(server, f"{address}.png", drawing, name="timeline.png", title="The same as a picture", mime_type=PNG)


def whole(orchestrator: Orchestrator, run: RunView) -> RunView:
    """Return a run with all that is to be read of it."""
    return in_full(run, history(orchestrator.journal, orchestrator.journal.run(run.run_id)))


async def found(look: Callable[[], T]) -> T:
    """Look something up in a thread; what is not there is told as the protocol tells it."""
    try:
        return await to_thread.run_sync(look)
    except UnknownName as error:
        raise ResourceNotFoundError(str(error)) from error
    except OrchestratorError as error:
        raise ResourceError(str(error)) from error


async def run(run_id: str, ctx: Session) -> str:
    """A run with its steps, attempts and what it used; when it has ended, with its results."""
    return await found(partial(_run, orchestrator(ctx), run_id))


async def step(run_id: str, step: str, ctx: Session) -> str:
    """A step of a run: its inputs (data as references), its answer, its attempts."""
    return await found(partial(_step, orchestrator(ctx), run_id, step))


async def events(run_id: str, ctx: Session, after: str = "") -> str:
    """What happened in a run, in order, 200 at a time; `next` is the address of the following ones."""
    return await found(partial(_events, orchestrator(ctx), run_id, after))


async def log(run_id: str, ctx: Session, step: str = "", level: str = "", cursor: str = "") -> str:
    """What the steps of a run said, 200 lines at a time, also of one step or from a level up; `cursor` goes on."""
    return await found(partial(_log, orchestrator(ctx), run_id, step, level, cursor))


async def timeline(run_id: str, ctx: Session) -> str:
    """When what was done in a run, drawn with characters."""
    return await found(partial(_timeline, orchestrator(ctx), run_id))


async def drawing(run_id: str, ctx: Session) -> bytes:
    """When what was done in a run, drawn as a PNG."""
    journal = orchestrator(ctx).journal
    shown = await found(lambda: timeline_of(journal, journal.run(run_id)))
    try:
        return await picture(shown)
    except OrchestratorError as error:
        raise ResourceError(str(error)) from error


def _run(orchestrator: Orchestrator, run: str) -> str:
    seen = orchestrator.view(orchestrator.journal.run(run))
    return compact(RunAnswer.whole(whole(orchestrator, seen)).facts())


def _step(orchestrator: Orchestrator, run: str, step: str) -> str:
    row = orchestrator.journal.run(run)
    known = history(orchestrator.journal, row)
    chosen = step_of(known, step)
    if chosen is None:
        raise UnknownName(f"step of run {row.id}", step, [one.name for one in known.steps])
    return _json({"run_id": row.id, **chosen.model_dump(mode="json")})


def _events(orchestrator: Orchestrator, run: str, after: str) -> str:
    row = orchestrator.journal.run(run)
    rows = orchestrator.journal.events(row.id, offset(after), EVENTS + 1)
    shown = [one.model_dump(mode="json", exclude={"run"}) for one in rows[:EVENTS]]
    more = f"run://{row.id}/events?after={rows[EVENTS - 1].seq}" if len(rows) > EVENTS else None
    return _json({"run_id": row.id, "status": row.status, "events": shown, "next": more})


def _log(orchestrator: Orchestrator, run: str, step: str, level: str, cursor: str) -> str:
    row = orchestrator.journal.run(run)
    page = read(orchestrator.settings.home, row.id, step=step, level=level, cursor=cursor, most=LINES)
    lines = [one.model_dump(exclude_defaults=True, exclude={"run"}) for one in page.lines]
    return _json({"run_id": row.id, "lines": lines, "cursor": page.cursor, "more": page.more})


def _timeline(orchestrator: Orchestrator, run: str) -> str:
    return gantt(timeline_of(orchestrator.journal, orchestrator.journal.run(run)))


def _json(facts: dict[str, Any]) -> str:
    return compact(finite(facts))
