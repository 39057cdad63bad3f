"""What the conformance suite calls that becomes a task: each is a run of the engine, as every long work of ours is."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
from conformance_tool import Function, asked, form
from mcp.server.mcpserver.server import require_client_extension
from mcp_types import InputRequiredResult, Result
from pydantic import BaseModel, Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.workflow import Workflow
from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.server.lean import spoken
from mcp_orchestrator.server.results import Answer
from mcp_orchestrator.server.session import Session
from mcp_orchestrator.server.tasks.shapes import IDENTIFIER
from mcp_orchestrator.server.tools.workflows import started

__all__ = ["TOOLS", "prepare"]

PATIENCE = 30.0


class Wanted(BaseModel):
    """What a run of the suite is about."""

    seconds: Annotated[float, Field(ge=0)] = 0
    label: str = ""


class Made(BaseModel):
    """What it made of it."""

    label: str
    decisions: list[bool] = []


async def compute(run: Run, spec: Wanted) -> Made:
    """Take the time that the suite asks for."""
    await anyio.sleep(spec.seconds)
    return Made(label=spec.label)


async def reject(run: Run, spec: Wanted) -> Made:
    """Fail as a tool does."""
    raise DataRejected("the suite wants it to fail.", column="none", then="Nothing.")


async def crash(run: Run, spec: Wanted) -> Made:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError(spec.label)


async def confirm(run: Run, spec: Wanted) -> Made:
    """Ask a person once."""
    decision = await run.approval("delete", f"Delete {spec.label}?")
    return Made(label=spec.label, decisions=[decision.approved])


async def confirm_twice(run: Run, spec: Wanted) -> Made:
    """Ask a person two things at once."""
    both = await run.gather(run.approval("first", "The first?"), run.approval("second", "The second?"))
    return Made(label=spec.label, decisions=[one.approved for one in both])


def prepare(orchestrator: Orchestrator) -> None:
    """Give an orchestrator the workflows behind the tools."""
    for one in (compute, reject, crash, confirm, confirm_twice):
        orchestrator.engine.workflows[one.__name__] = Workflow(one.__name__, Wanted, one, ())


async def slow_compute(ctx: Session, *, seconds: float = 0, label: str = "") -> Result:
    """Take some seconds."""
    return await _begun(ctx, "compute", seconds=seconds, label=label)


async def failing_job(ctx: Session) -> Result:
    """Fail, as a task alone."""
    require_client_extension(ctx.request_context, IDENTIFIER)
    return await _begun(ctx, "reject")


async def protocol_error_job(ctx: Session) -> Result:
    """Fail in a way that nobody foresaw."""
    return await _begun(ctx, "crash", label="nobody foresaw it")


async def confirm_delete(ctx: Session, *, filename: str) -> Result:
    """Ask before a file is deleted, which it is not."""
    return await _begun(ctx, "confirm", label=filename)


async def multi_input(ctx: Session) -> Result:
    """Ask two things at once."""
    return await _begun(ctx, "confirm_twice")


async def test_tool_with_task(ctx: Session) -> Result:
    """Ask for a name first, and then go on as a task."""
    require_client_extension(ctx.request_context, IDENTIFIER)
    given = asked(ctx, user_name=form("What is your name?", name="string"))
    if isinstance(given, InputRequiredResult):
        return given
    return await _begun(ctx, "compute", label=str((given["user_name"].content or {}).get("name")))


async def _begun(ctx: Session, workflow: str, **spec: Any) -> Result:
    answer = await started(ctx, workflow, spec, PATIENCE)
    return spoken(answer) if isinstance(answer, Answer) else answer


TOOLS: list[Function] = [
    slow_compute,
    failing_job,
    protocol_error_job,
    confirm_delete,
    multi_input,
    test_tool_with_task,
]
