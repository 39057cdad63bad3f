"""Runs: seen, waited for, stopped."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from mcp_types import InputRequiredResult
from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.errors import NotAllowed
from mcp_orchestrator.server.history import whole
from mcp_orchestrator.server.persona import decides
from mcp_orchestrator.server.results import RunAnswer, RunLine, Runs, moment, offset
from mcp_orchestrator.server.scopes import PROMOTE, moves_alias
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.shrinking import fitting
from mcp_orchestrator.server.subject import owned, subject
from mcp_orchestrator.server.tools.workflows import Wait
from mcp_orchestrator.server.waiting import waited
from mcp_orchestrator.values import without_secrets

__all__ = ["about", "control_run", "get_run", "list_runs"]

MOST = 20
RunId = Annotated[str, Field(min_length=6, description="Id of the run, or at least its first six characters.")]
Cursor = Annotated[str | None, Field(description="next_cursor of the page before.")]
State = Literal[
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
]


async def get_run(
    ctx: Session,
    run_id: RunId,
    wait_seconds: Wait = 25,
    detail: Annotated[
        Literal["concise", "full"],
        Field(description="full: also attempts, resources used, the whole leaderboard, facts about files; in pages."),
    ] = "concise",
    cursor: Cursor = None,
) -> RunAnswer | InputRequiredResult:
    """Wait for a run and return it as it stands: status, steps; once ended metrics, leaderboard, model, files."""
    run = await waited(ctx, run_id, wait_seconds)
    if isinstance(run, InputRequiredResult):
        return run
    if detail == "full":
        run = await to_thread.run_sync(partial(whole, orchestrator(ctx), run))
    return RunAnswer.of(run, detail, cursor)


async def list_runs(
    ctx: Session,
    status: Annotated[State | None, Field(description="Only runs in this state.")] = None,
    workflow: Annotated[str | None, Field(description="Only this workflow: train or evaluate.")] = None,
    cursor: Cursor = None,
) -> Runs:
    """List runs, the newest first: what each was about and how it stands."""
    return await to_thread.run_sync(partial(_listed, orchestrator(ctx), status, workflow, offset(cursor)))


async def control_run(
    ctx: Session,
    run_id: RunId,
    action: Annotated[
        Literal["cancel", "pause", "resume"],
        Field(
            description="cancel stops at once; pause lets the present step finish; resume goes on after the last one."
        ),
    ],
) -> RunAnswer:
    """Cancel, pause or resume a run. What its finished steps made is kept."""
    held = orchestrator(ctx)
    row = await to_thread.run_sync(lambda asked: owned(held.journal.run(asked)), run_id)
    if action == "resume" and row.subject != (subject() or "") and not decides.get() and moves_alias(row.spec):
        raise NotAllowed(f"Run {row.id} moves aliases of models: whoever lets it go on needs the scope {PROMOTE}.")
    row = await {"cancel": held.cancel, "pause": held.pause, "resume": held.resume}[action](run_id)
    return RunAnswer.of(held.view(row))


def about(row: RunRow) -> str:
    """Return what a run is about, in a few words: its graph, model, data and target."""
    graph: dict[str, Any] = row.spec.get("graph") or {}
    known = without_secrets([graph.get("name"), *(row.spec.get(name) for name in ("model", "data", "target"))])
    return " ".join(one for one in known if isinstance(one, str))


def _listed(orchestrator: Orchestrator, status: str | None, workflow: str | None, begin: int) -> Runs:
    states = () if status is None else (status,)
    found = orchestrator.journal.runs(status=states, workflow=workflow, most=MOST + 1, after=begin)
    lines = [_line(orchestrator, row) for row in found[:MOST]]
    lines = lines[: fitting(one.facts() for one in lines)]
    then = (
        [f'get_run(run_id="{lines[0].run_id}") tells all about one']
        if lines
        else ["run_ml_training_workflow starts one"]
    )
    return Runs(runs=lines, next_cursor=str(begin + len(lines)) if len(found) > len(lines) else None, next=then)


def _line(orchestrator: Orchestrator, row: RunRow) -> RunLine:
    run = orchestrator.view(row)
    return RunLine(
        **run.model_dump(include={"run_id", "workflow", "status", "progress", "error", "seconds"}),
        message=run.message or None,
        created=moment(row.created),
        about=about(row) or None,
    )
