"""A run as a task."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.rows import Approval, RunRow, Status
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.lean import spoken
from mcp_orchestrator.server.questions import form
from mcp_orchestrator.server.tasks.shapes import Created, Detailed
from mcp_orchestrator.server.tools.workflows import outcome
from orchestrator_memory.door import now

__all__ = ["created", "detailed", "questions", "run_of"]

SOONEST, LATEST = 0.5, 5.0
SHARE = 20
"""A client hears of the end after at most one part in so many of the time that it waited for it."""
SHOWN = 80


def run_of(held: Orchestrator, task: str, subject: str | None) -> RunRow:
    """Return the run of a task, if it belongs to ``subject`` (None: whoever is on this machine).

    Raises:
        MCPError: there is none, it belongs to somebody else, or it has expired.

    """
    try:
        row = held.journal.run(task)
    except UnknownName:
        row = None
    if row is None or row.id != task or row.parent is not None or (subject is not None and row.subject != subject):
        shown = repr(task[:SHOWN])
        raise MCPError(INVALID_PARAMS, f"There is no task {shown}. The call of a tool that is long work makes one.")
    if row.ended is not None and now() > row.ended + held.settings.task_keep_seconds * 1e6:
        text = f"Task {task} has expired. Its run is still there: get_run(run_id={task!r})."
        raise MCPError(INVALID_PARAMS, text)
    return row


def questions(held: Orchestrator, run: str) -> dict[str, Approval]:
    """Return what a run and those below it ask a person now, by keys that are used once in the life of the task."""
    return {f"{one.run}/{one.name}": one for one in held.journal.asked(run)}


def created(held: Orchestrator, run: str) -> Created:
    """Return the answer to the call that began a run."""
    row = held.engine.seen(held.journal.run(run))
    return Created(status="working", **_facts(held, row, row.message or row.status))


def detailed(held: Orchestrator, row: RunRow, *, asks: bool) -> Detailed:
    """Return a task as it stands; with ``asks``, the client can put a form before a person."""
    row = held.engine.seen(row)
    if row.status.final:
        return _ended(held, row)
    asked = questions(held, row.id)
    if asked and asks:
        forms = {key: form(one).model_dump(mode="json", by_alias=True, exclude_none=True) for key, one in asked.items()}
        text = "; ".join(one.question for one in asked.values())
        return Detailed(status="input_required", input_requests=forms, **_facts(held, row, text))
    if asked:
        text = f"waits for a person, who answers with: mcp-orchestrator approve {row.id[:8]} (or refuse {row.id[:8]})"
    elif row.status is Status.PAUSED:
        text = f'paused; control_run(run_id="{row.id}", action="resume") goes on'
    else:
        text = f"{int(row.progress * 100)}% {row.message}" if row.message else row.status
    return Detailed(status="working", **_facts(held, row, text))


def _ended(held: Orchestrator, row: RunRow) -> Detailed:
    if row.status is Status.CANCELLED:
        return Detailed(status="cancelled", **_facts(held, row, "cancelled; what its finished steps made is kept"))
    try:
        result = spoken(outcome(held, held.view(row)))
    except ToolError as error:
        if row.error_code == "internal":  # nobody foresaw it, so it is no answer of the tool
            told = {"code": INTERNAL_ERROR, "message": str(error)}
            return Detailed(status="failed", error=told, **_facts(held, row, row.error or row.status))
        result = CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)
    told = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Detailed(status="completed", result=told, **_facts(held, row, row.error or row.status))


def _facts(held: Orchestrator, row: RunRow, message: str) -> dict[str, Any]:
    lived = (row.ended or now()) - row.created  # what was promised before never becomes less
    return {
        "task_id": row.id,
        "status_message": message,
        "created_at": _moment(row.created),
        "last_updated_at": _moment(held.journal.changed(row.id)),
        "ttl_ms": lived // 1000 + round(held.settings.task_keep_seconds * 1000),
        "poll_interval_ms": round(1000 * min(max(lived / 1e6 / SHARE, SOONEST), LATEST)),
    }


def _moment(microseconds: int) -> str:
    text = datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
