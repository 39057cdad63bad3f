"""A thin front in a process of its own, spoken to line by line as a client does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from served import environment

from mcp_orchestrator.core.leadership import Leader, Leadership

__all__ = ["HELLO", "META", "Front", "front", "host", "kill"]

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Front:
    """A client's end of a front."""

    def __init__(self, process: subprocess.Popen[bytes], *, modern: bool) -> None:
        """Take the started process."""
        self.process, self.modern = process, modern
        self._last = 0
        self.seen: list[dict[str, Any]] = []

    def send(self, method: str, params: dict[str, Any] | None = None, *, note: bool = False) -> int:
        """Send a request, or a notification, and return its id."""
        self._last += 1
        given = dict(params or {})
        if self.modern:
            given["_meta"] = META
        message = {"jsonrpc": "2.0", "method": method, "params": given} | ({} if note else {"id": self._last})
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return self._last

    def answer(self, number: int) -> dict[str, Any]:
        """Return the answer to a request; what comes before it is kept in ``seen``."""
        assert self.process.stdout
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            self.seen.append(message)
            if message.get("id") == number:
                return message
        raise AssertionError(f"the front ended without an answer: {self.seen}")

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return its result."""
        answer = self.answer(self.send(method, params))
        assert "result" in answer, answer
        return answer["result"]

    def begin(self) -> dict[str, Any]:
        """Introduce the client."""
        if self.modern:
            return self.ask("server/discover")
        said = self.ask("initialize", HELLO)
        self.send("notifications/initialized", note=True)
        return said

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its facts."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return cast("dict[str, Any]", result["structuredContent"])


@contextmanager
def front(project: Path, *, modern: bool = False, options: Sequence[str] = (), **variables: str) -> Generator[Front]:
    """Start a front on a project."""
    with (
        (project / "stderr").open("ab") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "mcp_orchestrator", "serve", "--project", str(project), *options],
            env={**environment(), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        try:
            yield Front(process, modern=modern)
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(30)
            finally:
                process.kill()


def host(project: Path) -> Leader | None:
    """Return who is the host of a project."""
    return Leadership(project / ".mcp-orchestrator", "host").leader()


def kill(project: Path) -> Leader:
    """Kill the host of a project as a power cut would, and return who it was."""
    found = host(project)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    return found
