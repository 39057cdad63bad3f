"""What an agent can do in an evaluation: call the server's tools, and read and write files of the project."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation, TextContent

from mcp_orchestrator.core.leadership import Leadership

from .person import Person
from .tokens import METHOD, count

__all__ = ["FILES", "SERVE", "Failed", "Hands", "Spent", "end_host", "environment", "hands"]

SERVE = ["-m", "mcp_orchestrator", "serve", "--project"]
STATE = ".mcp-orchestrator"
LONGEST = 20_000
"""Characters of a file that are shown at once."""
CONFIRM = re.compile(r'confirm="([^"]+)"')
FILES: list[dict[str, Any]] = [
    {
        "name": "write_file",
        "description": "Write a text file of the project folder, replacing what is there.",
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
            "required": ["path", "text"],
            "additionalProperties": False,
        },
    },
    {
        "name": "read_file",
        "description": f"Read a text file of the project folder, its first {LONGEST} characters.",
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
            "additionalProperties": False,
        },
    },
    {
        "name": "list_files",
        "description": "List all files of the project folder.",
        "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
    },
]
"""The driver's own tools, as a model is told of them."""


class Failed(Exception):
    """A tool said that it cannot; its words are the message."""


@dataclass
class Spent:
    """What an agent has used; ``counted`` says how the tokens were counted, ``stopped`` what ended it early."""

    calls: int = 0
    failures: list[str] = field(default_factory=list[str])
    tokens: int = 0
    counted: str = f"{METHOD} of calls and answers"
    stopped: str = ""


@dataclass
class Hands:
    """A client of a project's server, with files, that counts what is done."""

    project: Path
    client: Client
    person: Person
    spent: Spent = field(default_factory=Spent)

    async def do(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """Call a tool, and return what it says and whether it did what it was asked."""
        self.spent.calls += 1
        try:
            said, good = await self._file(tool, arguments) if tool in NAMES else await self._tool(tool, arguments)
        except MCPError as error:
            said, good = f"{error.error.message}", False
        if not good:
            self.spent.failures.append(f"{tool}: {said[:300]}")
        self.spent.tokens += count(json.dumps(arguments)) + count(said)
        return said, good

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that succeeds, and return its facts; what it wants confirmed is what the person wants.

        Raises:
            Failed: the tool refused.

        """
        said, good = await self.do(tool, arguments)
        asked = None if good else CONFIRM.search(said)
        if asked and self.person.wants(said):
            said, good = await self.do(tool, {**arguments, "confirm": asked[1]})
        if not good:
            raise Failed(said)
        return cast("dict[str, Any]", json.loads(said))

    async def refused(self, tool: str, /, **arguments: Any) -> str:
        """Call a tool that refuses, and return what it says."""
        said, good = await self.do(tool, arguments)
        if good:
            message = f"{tool} did what it should have refused: {said[:200]}"
            raise AssertionError(message)
        return said

    async def invoke(self, component: str, capability: str, **params: Any) -> Any:
        """Call a capability and return its answer."""
        given = {"component": component, "capability": capability, "params": params}
        return (await self.call("invoke_ml_component", **given))["result"]

    async def train(self, data: str, target: str, name: str, **spec: Any) -> dict[str, Any]:
        """Train quickly, wait for the end, and return the run."""
        quick = {"families": ["linear"], "tuning": "none", "ensemble": "none", "tracking": False} | spec
        given = {"data": data, "target": target, "name": name, "wait_seconds": 50, "spec": quick}
        return await self.ended(await self.call("run_ml_training_workflow", **given))

    async def ended(self, run: dict[str, Any]) -> dict[str, Any]:
        """Wait for the end of a run."""
        while run["status"] in {"queued", "running", "cancelling"}:
            run = await self.call("get_run", run_id=run["run_id"], wait_seconds=50)
        return run

    async def write(self, path: str, text: str) -> None:
        """Write a file."""
        await self.call("write_file", path=path, text=text)

    async def tools(self) -> list[dict[str, Any]]:
        """Return all tools as a model is told of them."""
        listed = (await self.client.list_tools()).tools
        theirs = [
            {"name": one.name, "description": one.description, "input_schema": one.input_schema} for one in listed
        ]
        return [*theirs, *FILES]

    async def _tool(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        result = await self.client.call_tool(tool, arguments)
        said = "\n".join(one.text for one in result.content if isinstance(one, TextContent))
        return said, not result.is_error

    async def _file(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        if tool == "list_files":
            found = (one.relative_to(self.project) for one in sorted(self.project.rglob("*")) if one.is_file())
            return json.dumps({"files": [str(one) for one in found if STATE not in one.parts]}), True
        given = arguments.get("path")
        path = (self.project / str(given)).resolve()
        if not isinstance(given, str) or not path.is_relative_to(self.project.resolve()) or STATE in path.parts:
            return f"path: {given!r} is no file of the project folder that you may use.", False
        try:
            if tool == "read_file":
                return json.dumps({"text": path.read_text("utf-8")[:LONGEST]}), True
            text = arguments.get("text")
            if not isinstance(text, str):
                return "text: give the text of the file.", False
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return f"path: {given!r} cannot be used: {error}", False
        return json.dumps({"written": given}), True


NAMES = {one["name"] for one in FILES}


@asynccontextmanager
async def hands(
    project: Path, person: Person, spent: Spent | None = None, *, name: str = "evaluation"
) -> AsyncGenerator[Hands]:
    """Connect to a project's server as a client does."""
    server = StdioServerParameters(command=sys.executable, args=[*SERVE, str(project)], env=environment())
    with (project.parent / "stderr").open("a") as errors:
        transport = stdio_client(server, errlog=errors)
        about = Implementation(name=name, version="1")
        async with Client(transport, client_info=about, elicitation_callback=person.answer) as client:
            yield Hands(project, client, person, spent or Spent())


def environment() -> dict[str, str]:
    """Return an environment in which another process finds what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(one or ".").resolve()) for one in sys.path)}


async def end_host(project: Path) -> None:
    """End the host of a project, and return when it is gone; one that does not go by itself is killed."""
    leadership = Leadership(project / STATE, "host")
    for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
        if (host := leadership.leader()) is None:
            return
        with suppress(ProcessLookupError):
            os.kill(host.pid, number)
        with anyio.move_on_after(seconds):
            while leadership.leader() is not None:
                await anyio.sleep(0.05)
            return
    message = f"The host of {project} does not end."
    raise TimeoutError(message)
