"""How the functions that the conformance suite calls become tools: as ours do, but answering what the suite wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, cast

from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    Result,
    TextContent,
)

from mcp_orchestrator.server.lean import LeanTool
from mcp_orchestrator.server.session import Session

__all__ = ["Function", "asked", "form", "said", "tool"]

Function = Callable[..., Awaitable[Result]]


class Fixture(LeanTool):
    """A tool of ours without a schema of its answers, since the suite has its own."""

    @cached_property
    def output_schema(self) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] - None is one of the two
        return None


def tool(function: Function) -> LeanTool:
    """Publish a function; what it has as ``schema`` is said of its arguments as it is."""
    described = " ".join((function.__doc__ or "").split())
    made = cast("Fixture", Fixture.from_function(function, description=described, structured_output=False))
    made.parameters = getattr(function, "schema", {**made.parameters, "additionalProperties": False})
    return made


def said(text: str) -> CallToolResult:
    """Return a text as the answer of a tool."""
    return CallToolResult(content=[TextContent(type="text", text=text)])


def form(message: str, **fields: str) -> ElicitRequest:
    """Ask a person to fill in fields, each of a type of JSON's."""
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def asked(ctx: Session, state: str | None = None, **requests: Any) -> InputRequiredResult | dict[str, Any]:
    """Return the answers to ``requests`` if all are there, else what is still to be asked."""
    given: Mapping[str, Any] = ctx.input_responses or {}
    if all(name in given for name in requests):
        return {name: given[name] for name in requests}
    return InputRequiredResult(input_requests=requests, request_state=state)
