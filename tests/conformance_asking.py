"""What the conformance suite calls that asks the client something: pushed until 2025-11-25, in rounds since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance_tool import Function, asked, form, said
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.context import Context
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

from mcp_orchestrator.server.session import Session
from mcp_orchestrator.server.shell import Guest

__all__ = ["TOOLS", "publish"]

Answered = CallToolResult | InputRequiredResult
FIRST, SECOND, ONLY = "round 1", "round 2", "the only round"
CHOICES = ["option1", "option2", "option3"]
ORDINALS = ("First", "Second", "Third")


def _sample(text: str, most: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=most))


async def _pushed(ctx: Session, message: str, properties: Mapping[str, Any], required: list[str]) -> str:
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties), "required": required}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={answer.content}"


async def test_sampling(ctx: Session, *, prompt: str) -> CallToolResult:
    """Ask the client's model."""
    wanted = _sample(prompt).params
    answer = await ctx.session.create_message(  # pyright: ignore[reportDeprecated] - the suite asks for it
        wanted.messages, max_tokens=wanted.max_tokens, related_request_id=ctx.request_id
    )
    text = answer.content.text if isinstance(answer.content, TextContent) else answer.content
    return said(f"LLM response: {text}")


async def test_elicitation(ctx: Session, *, message: str) -> CallToolResult:
    """Ask the person for a name and an address."""
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return said(f"User response: {await _pushed(ctx, message, fields, list(fields))}")


async def test_elicitation_sep1034_defaults(ctx: Session) -> CallToolResult:
    """Ask the person for values that have defaults."""
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return said(f"Elicitation completed: {await _pushed(ctx, 'Look at the defaults.', fields, [])}")


async def test_elicitation_sep1330_enums(ctx: Session) -> CallToolResult:
    """Ask the person to choose, in all ways there are."""
    titled = [{"const": f"value{number}", "title": f"{word} Option"} for number, word in enumerate(ORDINALS, 1)]
    several = [{"const": f"value{number}", "title": f"{word} Choice"} for number, word in enumerate(ORDINALS, 1)]
    fields = {
        "untitledSingle": {"type": "string", "enum": CHOICES},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": CHOICES}},
        "titledMulti": {"type": "array", "items": {"anyOf": several}},
    }
    return said(f"Elicitation completed: {await _pushed(ctx, 'Choose.', fields, [])}")


async def test_input_required_result_elicitation(ctx: Session) -> Answered:
    """Ask for a name."""
    given = asked(ctx, user_name=form("What is your name?", name="string"))
    return given if isinstance(given, InputRequiredResult) else said(f"Hello, {_filled(given['user_name'], 'name')}!")


async def test_streaming_elicitation(ctx: Session) -> Answered:
    """Ask for a name, on the stream of the answer alone."""
    return await test_input_required_result_elicitation(ctx)


async def test_input_required_result_sampling(ctx: Session) -> Answered:
    """Ask the client's model for a capital."""
    given = asked(ctx, capital_question=_sample("What is the capital of France?"))
    return given if isinstance(given, InputRequiredResult) else said(given["capital_question"].content.text)


async def test_input_required_result_list_roots(ctx: Session) -> Answered:
    """Ask for the client's roots."""
    given = asked(ctx, client_roots=ListRootsRequest())
    return given if isinstance(given, InputRequiredResult) else said(_roots(given["client_roots"]))


async def test_input_required_result_request_state(ctx: Session) -> Answered:
    """Ask for a confirmation, and remember by the client where it was."""
    given = asked(ctx, ONLY, confirm=form("Please confirm", ok="boolean"))
    if isinstance(given, InputRequiredResult):
        return given
    _in_round(ctx, ONLY)
    return said("state-ok")


async def test_input_required_result_tampered_state(ctx: Session) -> Answered:
    """Ask for a confirmation, with a state that nobody may change."""
    return await test_input_required_result_request_state(ctx)


async def test_input_required_result_multiple_inputs(ctx: Session) -> Answered:
    """Ask for three things at once."""
    given = asked(
        ctx,
        ONLY,
        user_name=form("What is your name?", name="string"),
        greeting=_sample("Generate a greeting", 50),
        client_roots=ListRootsRequest(),
    )
    if isinstance(given, InputRequiredResult):
        return given
    _in_round(ctx, ONLY)
    name, roots = _filled(given["user_name"], "name"), _roots(given["client_roots"])
    return said(f"{name}: {given['greeting'].content.text} ({roots})")


async def test_input_required_result_multi_round(ctx: Session) -> Answered:
    """Ask for a name, then for a colour."""
    if ctx.request_state in {None, FIRST}:
        given = asked(ctx, FIRST, step1=form("Step 1: What is your name?", name="string"))
        if isinstance(given, InputRequiredResult):
            return given
    given = asked(ctx, SECOND, step2=form("Step 2: What is your favorite color?", color="string"))
    if isinstance(given, InputRequiredResult):
        return given
    _in_round(ctx, SECOND)
    return said(f"The color is {_filled(given['step2'], 'color')}.")


async def test_input_required_result_capabilities(ctx: Session) -> Answered:
    """Ask for what the client can answer."""
    able = ctx.client_capabilities
    requests: dict[str, Any] = {}
    if able is not None and able.sampling is not None:
        requests["greeting"] = _sample("Generate a greeting", 50)
    if able is not None and able.elicitation is not None:
        requests["user_name"] = form("What is your name?", name="string")
    given = asked(ctx, **requests)
    return given if isinstance(given, InputRequiredResult) else said(f"Answered: {', '.join(given) or 'nothing'}.")


TOOLS: list[Function] = [
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_input_required_result_elicitation,
    test_streaming_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
]


def publish(server: MCPServer[Guest]) -> None:
    """Add the prompt that asks."""

    @server.prompt("test_input_required_result_prompt")
    async def asking(ctx: Context[Guest, Any]) -> Any:
        """A prompt that asks what it is about."""
        given = asked(ctx, user_context=form("What context should the prompt use?", context="string"))
        if isinstance(given, InputRequiredResult):
            return given
        return f"Work in this context: {_filled(given['user_context'], 'context')}"


def _filled(answer: Any, field: str) -> str:
    return str((answer.content or {}).get(field, "nobody")) if answer.action == "accept" else "nobody"


def _roots(answer: Any) -> str:
    return ", ".join(f"{one.name} at {one.uri}" for one in answer.roots) or "no roots"


def _in_round(ctx: Session, wanted: str) -> None:
    if ctx.request_state != wanted:
        raise MCPError(INVALID_PARAMS, "The state of the request is not that of this question.")
