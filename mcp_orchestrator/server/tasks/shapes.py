"""What goes over the wire of the extension for tasks: a task is flat, its times in milliseconds."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from mcp_types import RequestParams, Result

__all__ = ["IDENTIFIER", "Created", "Detailed", "State", "TaskParams", "UpdateParams"]

IDENTIFIER = "io.modelcontextprotocol/tasks"
State: TypeAlias = Literal["working", "input_required", "completed", "failed", "cancelled"]


class TaskParams(RequestParams):
    """Which task is asked for."""

    task_id: str


class UpdateParams(TaskParams):
    """Answers to what a task asks, by the keys of its questions."""

    input_responses: dict[str, Any]


class Task(Result):
    """A task: a run as those see it who asked for it."""

    task_id: str
    status: State
    status_message: str
    created_at: str
    last_updated_at: str
    ttl_ms: int
    poll_interval_ms: int


class Created(Task):
    """What the call of a tool answers that goes on as a task."""

    result_type: Literal["task"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride] - as the SDK's own results do


class Detailed(Task):
    """A task with what belongs to its state: what it asks, the result of the call, or the error."""

    result_type: Literal["complete"] = "complete"  # pyright: ignore[reportIncompatibleVariableOverride] - as the SDK's own results do
    input_requests: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
