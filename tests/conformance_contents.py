"""What the conformance suite calls that answers by itself: contents of all kinds, progress, logs, errors, changes."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Annotated, Any

import anyio
from conformance_tool import Function, said
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

from mcp_orchestrator.server.session import Session
from mcp_orchestrator.server.shell import Guest

__all__ = ["TOOLS", "publish"]

MOMENT = 0.02
"""Seconds between notifications, so that they are several."""


def _png() -> bytes:
    """Return a picture of one red point."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0\xff\0\0")), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _wav() -> bytes:
    """Return a sound of one sample."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    data = struct.pack("<4sI", b"data", 1) + b"\x80\0"
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


PNG = _png()
IMAGE = ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")
AUDIO = AudioContent(type="audio", data=base64.b64encode(_wav()).decode(), mime_type="audio/wav")


def _embedded(uri: str, text: str, media: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=media, text=text))


async def test_simple_text(ctx: Session) -> CallToolResult:
    """Answer a text."""
    return said("This is a simple text response for testing.")


async def greet(ctx: Session, *, name: str) -> CallToolResult:
    """Greet somebody."""
    return said(f"Hello, {name}!")


async def test_image_content(ctx: Session) -> CallToolResult:
    """Answer a picture."""
    return CallToolResult(content=[IMAGE])


async def test_audio_content(ctx: Session) -> CallToolResult:
    """Answer a sound."""
    return CallToolResult(content=[AUDIO])


async def test_embedded_resource(ctx: Session) -> CallToolResult:
    """Answer a resource."""
    return CallToolResult(content=[_embedded("test://embedded-resource", "This is an embedded resource content.")])


async def test_multiple_content_types(ctx: Session) -> CallToolResult:
    """Answer a text, a picture and a resource."""
    text = TextContent(type="text", text="Multiple content types test:")
    facts = json.dumps({"test": "data", "value": 123})
    return CallToolResult(content=[text, IMAGE, _embedded("test://mixed-content-resource", facts, "application/json")])


async def test_tool_with_logging(ctx: Session) -> CallToolResult:
    """Log three messages."""
    for one in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(one)  # pyright: ignore[reportDeprecated] - the suite asks for it
        await anyio.sleep(MOMENT)
    return said("Logged three messages.")


async def test_logging_tool(ctx: Session) -> CallToolResult:
    """Log a message, which nobody sees who did not ask for it."""
    await ctx.info("something")  # pyright: ignore[reportDeprecated] - the suite asks for it
    return said("Logged.")


async def test_tool_with_progress(ctx: Session) -> CallToolResult:
    """Report progress three times."""
    for one in (0, 50, 100):
        await ctx.report_progress(one, 100)
        await anyio.sleep(MOMENT)
    return said("Reported progress.")


async def test_error_handling(ctx: Session) -> CallToolResult:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_missing_capability(ctx: Session) -> CallToolResult:
    """Need a client that can be asked for a sample."""
    capabilities = ctx.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client must declare sampling.", needed)
    return said("The client can be asked.")


async def test_reconnection(ctx: Session) -> CallToolResult:
    """Close the stream of the answer, and answer when the client has come back."""
    await ctx.close_sse_stream()
    await anyio.sleep(MOMENT)
    return said("Answered after the stream was closed.")


async def test_trigger_tool_change(ctx: Session) -> CallToolResult:
    """Tell that the tools have changed."""
    await ctx.notify_tools_changed()
    return said("Told.")


async def test_trigger_prompt_change(ctx: Session) -> CallToolResult:
    """Tell that the prompts have changed."""
    await ctx.notify_prompts_changed()
    return said("Told.")


async def test_x_mcp_header(
    ctx: Session, *, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]
) -> CallToolResult:
    """Take an argument that proxies can read in a header."""
    return said(region)


async def json_schema_2020_12_tool(
    ctx: Session,
    *,
    name: str | None = None,
    address: dict[str, Any] | None = None,
    contactMethod: str | None = None,
    phone: str | None = None,
    email: str | None = None,
) -> CallToolResult:
    """Tool with JSON Schema 2020-12 features."""
    return said(json.dumps([name, address, contactMethod, phone, email]))


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

json_schema_2020_12_tool.schema = SCHEMA  # pyright: ignore[reportFunctionMemberAccess] - `tool` looks for it
TOOLS: list[Function] = [
    test_simple_text,
    greet,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_tool_with_logging,
    test_logging_tool,
    test_tool_with_progress,
    test_error_handling,
    test_missing_capability,
    test_reconnection,
    test_trigger_tool_change,
    test_trigger_prompt_change,
    test_x_mcp_header,
    json_schema_2020_12_tool,
]


def publish(server: MCPServer[Guest]) -> None:
    """Add the resources and prompts that answer by themselves."""

    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """A picture."""
        return PNG

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """What the suite subscribes to."""
        return "Watched."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 - its name in the address
        """A text about a number."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.prompt("test_simple_prompt")
    def simple() -> str:
        """A prompt."""
        return "This is a simple prompt for testing."

    @server.prompt("test_prompt_with_arguments")
    def with_arguments(arg1: str, arg2: str) -> str:
        """A prompt with arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt("test_prompt_with_embedded_resource")
    def with_resource(resourceUri: str) -> list[UserMessage]:
        """A prompt with a resource in it."""
        embedded = _embedded(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(embedded), UserMessage("Please process the embedded resource above.")]

    @server.prompt("test_prompt_with_image")
    def with_image() -> list[UserMessage]:
        """A prompt with a picture in it."""
        return [UserMessage(IMAGE), UserMessage("Please analyze the image above.")]
