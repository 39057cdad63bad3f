"""A terminal for tests: the command in this process or in one of its own, in a project with foreign components."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from click.testing import CliRunner, Result

from mcp_orchestrator.cli.main import main

__all__ = ["answer", "ask", "start"]


def ask(*arguments: str, **how: Any) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, list(arguments), prog_name="mcp-orchestrator", **how)


def answer(*arguments: str, code: int = 0, **how: Any) -> Any:
    """Return the one JSON document that a command prints."""
    result = ask(*arguments, "--json", **how)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own, with nothing on its stdin."""
    command = [sys.executable, "-m", "mcp_orchestrator", *arguments]
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=pipe, text=True)
