"""A conversation with the real server, as any MCP client has it: a subprocess, spoken to over stdio."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from mcp_orchestrator.cli.progress import Bar

if TYPE_CHECKING:
    from mcp.client.client import Client

__all__ = ["Conversation", "connected"]


class Conversation:
    """Calls tools of a server, and says on the way what was asked."""

    def __init__(self, client: Client, *, quiet: bool) -> None:
        """Take a connected client; ``quiet`` leaves the telling to somebody else."""
        self.client, self._quiet = client, quiet
        self.calls: list[dict[str, Any]] = []

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
        """Call a tool and return its structured answer.

        Raises:
            StepFailed: the tool answered with an error.

        """
        from mcp_types import TextContent

        from mcp_orchestrator.errors import StepFailed

        if not self._quiet:
            said = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
            click.echo(f"\n{click.style('->', fg='cyan')} {click.style(tool, bold=True)}({said})")
        with Bar(tool, quiet=self._quiet, lines=True) as bar:

            async def show(progress: float, total: float | None, message: str | None) -> None:
                bar.report(progress / (total or 1.0), message or "")

            result = await self.client.call_tool(tool, arguments, progress_callback=show)
        text = " ".join(part.text for part in result.content if isinstance(part, TextContent))
        if result.is_error:
            message = f"{tool} answered: {text}"
            raise StepFailed(message)
        answer: dict[str, Any] = result.structured_content or {}
        self.calls.append({"tool": tool, "arguments": arguments, "answer": answer})
        return answer


@asynccontextmanager
async def connected(folder: Path, *, quiet: bool) -> AsyncGenerator[Conversation]:
    """Start the server on a project folder and speak with it until the block ends, and the server's host with it.

    What its libraries would put elsewhere on the machine goes into the state home, and so does its log.
    """
    import anyio
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client
    from mcp.shared.exceptions import MCPError

    from mcp_orchestrator.errors import StepFailed
    from mcp_orchestrator.host.control import stop
    from mcp_orchestrator.host.files import log_file

    home = folder / ".mcp-orchestrator"
    caches = {name: str(home / "cache") for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mcp_orchestrator", "serve"],
        env={**caches, "PYTHONPATH": _path()},
        cwd=folder,
    )
    place = log_file(home)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    with place.open("a", encoding="utf-8") as log:
        try:
            async with Client(stdio_client(server, log)) as client:
                yield Conversation(client, quiet=quiet)
        except* MCPError as errors:
            message = f"The server does not answer: {errors.exceptions[0]}. {place} says: {_end(place)}"
            raise StepFailed(message) from errors
        finally:
            with anyio.CancelScope(shield=True):
                await stop(home)


def _path() -> str:
    """Return where this process finds its modules, for a process that starts in another folder."""
    return os.pathsep.join(str(Path(one).absolute()) for one in sys.path if one)


def _end(log: Path) -> str:
    return "".join(log.read_text("utf-8", "replace").splitlines()[-1:]) or "nothing"


def _short(value: object) -> str:
    """Return an argument as it would be typed; many records as their number, a digest by its beginning."""
    if isinstance(value, str):
        return repr(re.sub(r"([0-9a-f]{8})[0-9a-f]{56}", r"\1...", value))
    return f"[{len(cast('list[object]', value))} records]" if isinstance(value, list) else repr(value)
