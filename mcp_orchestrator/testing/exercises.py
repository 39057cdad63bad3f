"""What an executor is tried with: capabilities that answer, fail, die, hang, take memory and print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput

__all__ = ["crash", "die", "echo", "fill", "given", "hang", "progress", "refuse", "say"]


def echo(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value."""
    return value


def given(ctx: Context) -> dict[str, Any]:
    """Return what the step was given, and the process that it runs in."""
    return {"seed": ctx.seed, "cpus": ctx.cpus, "run": ctx.run, "step": ctx.step, "pid": os.getpid()}


def progress(ctx: Context, message: str) -> str:
    """Say that all is done, and return the message."""
    ctx.report(1.0, message)
    return message


def refuse(field: str) -> None:
    """Refuse the input, deliberately."""
    raise InvalidInput(field, "is refused.")


def crash(reason: str) -> None:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError(reason)


def die() -> None:
    """Kill the own process."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(ctx: Context) -> None:
    """Use a processor for ever, here and in a child that left the process group.

    What it tells as progress are the ids of these processes.
    """
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    ctx.report(0.0, f"{os.getpid()} {child.pid}")
    while True:
        pass


def fill(megabytes: int) -> int:
    """Take memory, write to all of it, and return how much it was."""
    held = bytearray(megabytes << 20)
    held[:: 1 << 12] = b"x" * len(range(0, len(held), 1 << 12))
    return len(held) >> 20


def say(text: str) -> None:
    """Print to the standard output, as Python does and as C code does."""
    print(text, flush=True)  # noqa: T201 - where this goes is the question
    os.write(1, f"raw {text}\n".encode())
