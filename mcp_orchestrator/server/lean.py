"""A tool that costs a model little and is strict with it.

It differs from the SDK's in four ways: its schemas carry no generated titles and forbid unknown arguments; an unknown
argument is refused with the nearest name instead of being ignored; what is wrong with an argument is said in words,
without a traceback; and the answer is compact JSON, the same facts as text and as structured content.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast, get_args, get_type_hints

from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, Result, TextContent, ToolAnnotations
from pydantic import ValidationError

from mcp_orchestrator.component import without_titles
from mcp_orchestrator.errors import InvalidInput, NotReady, OrchestratorError, reject_unknown
from mcp_orchestrator.server.errors import crashed, refused, unfit
from mcp_orchestrator.server.results import Answer, compact
from mcp_orchestrator.server.scopes import PROMOTE, READ, RUN
from mcp_orchestrator.server.session import RUN_STATE, approver, sent_again
from orchestrator_memory.errors import MemoryFailure

__all__ = ["LeanTool", "lean", "spoken"]

CONFIRM = "confirm"
ASKED = {"type": "string", "description": "As an error tells."}
NEEDLESS: list[tuple[str, Any]] = [("default", None), ("additionalProperties", True)]


class LeanTool(Tool):
    """A published function; a ``keyed`` one sees to it that a request that is sent again does nothing twice."""

    keyed: bool = False
    promotes: Callable[[object], bool] | None = None

    def needs(self, arguments: Mapping[str, Any]) -> str:
        """Return the scope that a call with these arguments needs."""
        properties: dict[str, Any] = self.parameters["properties"]
        given = {name: _unpacked(value, properties.get(name, {})) for name, value in arguments.items()}
        if self.promotes is not None and self.promotes(given):
            return PROMOTE
        return READ if self.annotations and self.annotations.read_only_hint else RUN

    @cached_property
    def output_schema(self) -> dict[str, Any] | None:
        """The JSON schema of the answer, made when the tools are first listed."""
        returned = get_type_hints(self.fn, include_extras=True)["return"]
        answer: type[Answer] = next(one for one in get_args(returned) or [returned] if issubclass(one, Answer))
        return without_titles(answer.model_json_schema())

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: FBT001, FBT002 - the SDK's signature
    ) -> Any:  # noqa: ANN401 - the SDK's signature
        """Check the arguments, call the function and return its answer.

        Raises:
            ToolError: whatever went wrong, with all that the model needs to go on.

        """
        try:
            self._repeatable(context)
            answer = await self._answer(arguments, context)
        except (MCPError, ToolError):
            raise
        except (OrchestratorError, MemoryFailure) as error:
            raise refused(error) from error
        except Exception as error:
            raise crashed(self.name, error) from error
        return spoken(answer) if convert_result and isinstance(answer, Answer) else answer

    async def _answer(self, arguments: dict[str, Any], context: Context[Any, Any]) -> Answer | Result:
        """Call the function; where a person has to allow what it does, do that which they said yes to, or ask them."""
        kwarg = self.context_kwarg or "ctx"
        if self.promotes is None:
            return await self.fn(**self._checked(arguments), **{kwarg: context})
        given = self._checked({name: value for name, value in arguments.items() if name != CONFIRM})
        confirm = arguments.get(CONFIRM) or None
        if confirm is not None and not isinstance(confirm, str):
            raise InvalidInput(CONFIRM, "must be the text that an error told you to send.")
        if not self.promotes(given) or (context.request_state or "").startswith(RUN_STATE):
            if confirm:
                raise InvalidInput(CONFIRM, "nothing in this call needs a person's yes.", then="Leave it out.")
            return await self.fn(**given, **{kwarg: context})
        from mcp_orchestrator.server.approval import approve

        verdict = await approve(context, self.name, given, confirm)
        if isinstance(verdict, InputRequiredResult):
            return verdict
        asked = approver.set(verdict.by)
        try:
            return await self.fn(**verdict.arguments, **{kwarg: context})
        finally:
            approver.reset(asked)

    def _repeatable(self, context: Context[Any, Any]) -> None:
        """Refuse a call that a host before this one died over, where doing it twice is not doing it once.

        Raises:
            NotReady: it is such a call.

        """
        hints = self.annotations
        if not sent_again(context) or self.keyed or (hints and (hints.read_only_hint or hints.idempotent_hint)):
            return
        raise NotReady(
            f"The orchestrator ended while it worked on this call of {self.name}; whether that was finished is not "
            "known, and it was not done again by itself. list_runs() and find_models() show what there is; call again "
            "if it is still wanted."
        )

    def _checked(self, arguments: dict[str, Any]) -> dict[str, Any]:
        properties: dict[str, Any] = self.parameters["properties"]
        if arguments and not properties:
            raise InvalidInput(next(iter(arguments)), f"{self.name} takes no arguments.")
        reject_unknown(arguments, properties, what=self.name)
        given = {name: _unpacked(value, properties[name]) for name, value in arguments.items()}
        try:
            return self.fn_metadata.arg_model.model_validate(given).model_dump_one_level()
        except ValidationError as error:
            raise unfit(error, self.parameters, tool=self.name) from error


def spoken(answer: Answer) -> CallToolResult:
    """Return an answer as clients get it: the same facts as text and as structured content."""
    facts = answer.facts()
    return CallToolResult(content=[TextContent(type="text", text=compact(facts))], structured_content=facts)


def lean(
    function: Callable[..., Any],
    title: str,
    *,
    reads: bool = False,
    destroys: bool = False,
    repeatable: bool = False,
    keyed: bool = False,
    promotes: Callable[[object], bool] | None = None,
    entry: bool = False,
    hint: str = "",
    page: str = "",
) -> LeanTool:
    """Publish a function whose docstring is the description.

    ``reads`` says that it changes nothing, ``destroys`` that it may end or replace something, ``repeatable`` that doing
    it twice is doing it once, ``keyed`` that it uses the key of its request (`session.key`) so that one
    request does one thing; ``promotes`` says for which arguments it moves an alias of a model, which a person has to
    allow each time. An ``entry`` is always loaded by clients that load tools on demand; the others are found by their
    ``hint``. Clients that show pages show the answer on the ``page`` with this address.
    """
    annotations = ToolAnnotations(
        read_only_hint=reads,
        destructive_hint=destroys,
        idempotent_hint=reads or repeatable,
        open_world_hint=False,
    )
    loading: dict[str, Any] = {"anthropic/alwaysLoad": True} if entry else {"anthropic/searchHint": hint}
    published = LeanTool.from_function(
        function,
        title=title,
        description=" ".join((function.__doc__ or "").split()),
        annotations=annotations,
        meta={**loading, "ui": {"resourceUri": page}} if page else loading,
        structured_output=False,
    )
    tool = cast("LeanTool", published)
    tool.keyed, tool.promotes = keyed, promotes
    tool.parameters = {**_without_nulls(without_titles(tool.parameters)), "additionalProperties": False}
    if promotes is not None:
        tool.parameters["properties"][CONFIRM] = ASKED
    return tool


def _without_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    """Write an argument that may be left out as its type alone; null is still taken for it."""
    properties: dict[str, Any] = {}
    for name, wanted in schema.get("properties", {}).items():
        kept = _plain(wanted)
        choices = [one for one in map(_plain, kept.get("anyOf", [])) if one != {"type": "null"}]
        if len(choices) == 1:
            del kept["anyOf"]
            kept = {**choices[0], **kept}
        elif choices:
            kept["anyOf"] = choices
        properties[name] = kept
    return {**schema, "properties": properties}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if (key, value) not in NEEDLESS}


def _unpacked(value: object, wanted: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Read a list or an object that a client sent as JSON text, where that cannot be meant as text."""
    kinds = {one.get("type", "any") for one in cast("list[dict[str, Any]]", wanted.get("anyOf", [wanted]))}
    opening = {"[": "array", "{": "object"}.get(value.lstrip()[:1]) if isinstance(value, str) else None
    if opening is None or not kinds & {opening, "any"}:
        return value
    try:
        return json.loads(cast("str", value))
    except (ValueError, RecursionError):  # the latter where it is nested deeper than anything that is meant
        return value
