"""A run as its watchers see it: the same shape on every surface, finished or not."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mcp_orchestrator.core.history import History
from mcp_orchestrator.core.rows import RunRow, Status, StepRow
from mcp_orchestrator.values import without_secrets

__all__ = ["RunView", "StepView", "in_full", "view"]


class StepView(BaseModel):
    """One step: what was asked and what became of it."""

    name: str
    status: str
    reason: str = ""
    seconds: float | None = None


class RunView(BaseModel):
    """What there is to say about a run. The fields after ``steps`` are filled by the workflow when it has ended."""

    model_config = ConfigDict(extra="allow")

    run_id: str
    workflow: str
    status: Status
    degraded: bool = False
    progress: float = 0.0
    message: str = ""
    error: str | None = None
    error_code: str | None = None
    seconds: float | None = None
    steps: list[StepView] = Field(default_factory=list[StepView])
    next: list[str] = Field(default_factory=list[str])

    def brief(self) -> dict[str, Any]:
        """Return the few facts that a list shows."""
        return self.model_dump(mode="json", include={"run_id", "workflow", "status", "progress", "message", "seconds"})


def view(row: RunRow, steps: list[StepRow]) -> RunView:
    """Join a run's row, its steps and, when it has ended, its summary."""
    shown = [
        StepView(name=one.name, status=one.status, reason=one.reason, seconds=_rounded(one.seconds)) for one in steps
    ]
    begun, ended = row.started or row.created, row.ended
    return RunView.model_validate(
        {
            **without_secrets(row.result or {}),
            "run_id": row.id,
            "workflow": row.workflow,
            "status": row.status,
            "degraded": row.status is Status.DEGRADED,
            "progress": round(row.progress, 3),
            "message": "" if row.status.final else row.message,
            "error": row.error,
            "error_code": row.error_code,
            "seconds": None if ended is None else _rounded((ended - begun) / 1e6),
            "steps": shown,
            "next": _next(row),
        },
    )


def in_full(run: RunView, found: History) -> RunView:
    """Return a run with its attempts, what it used, what people were asked, and the runs that belong to it."""
    return RunView.model_validate({**found.facts(), **run.model_dump()})


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _next(row: RunRow) -> list[str]:
    """Say what a caller can sensibly do now."""
    run = row.id
    stop = f'control_run(run_id="{run}", action="cancel") stops it'
    on = f'control_run(run_id="{run}", action="resume") goes on after its last finished step'
    if row.status is Status.PAUSED:
        return [on, stop]
    if row.status is Status.WAITING:
        return [f"a person answers with: mcp-orchestrator approve {run[:8]} (or refuse {run[:8]})", stop]
    if not row.status.final:
        return [f'get_run(run_id="{run}", wait_seconds=25) waits for the result', stop]
    if row.status in {Status.FAILED, Status.CANCELLED, Status.TIMED_OUT}:
        return [f"{on}, in a new run", f"run://{run}/log tells what its steps said"]
    return list((row.result or {}).get("next", []))
