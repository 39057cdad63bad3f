"""The inside of a worker process: takes tasks from a socket, one at a time, and answers each.

What a component prints goes to the log of its run, never to the protocol. A message is one line of JSON.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mcp_orchestrator import logs
from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.core.invoke import invoke
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.settings import Settings

__all__ = ["perform", "serve"]

REPORT_EVERY = 0.1
log = logging.getLogger(__name__)


def serve(connection: socket.socket, settings_json: str) -> None:
    """Answer tasks until the other side closes the connection."""
    prepare()
    settings = Settings.model_validate_json(settings_json)
    _limit_memory(settings.worker_memory_mb)
    registry = Registry(settings.components)
    logs.start(settings.log_level)
    for line in connection.makefile("rb"):
        task = json.loads(line)
        with _output_to(settings.home / "logs" / f"{task['run'] or 'calls'}.log"):
            answer = perform(registry, settings, task, partial(_send, connection))
        _send(connection, answer)


def perform(registry: Registry, settings: Settings, task: dict[str, Any], send: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run one task and return its answer: ``{"value": ...}`` or ``{"code": ..., "error": ...}``.

    Any exception becomes an answer here: this is where a crash turns into a failed step.
    """
    last = 0.0

    def report(fraction: float | None, message: str, /) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_EVERY or fraction == 1:
            last = time.monotonic()
            send({"fraction": fraction, "message": message})

    ctx = Context(
        settings=settings,
        artifacts=ArtifactStore(settings.home / "artifacts"),
        seed=task["seed"],
        cpus=task["cpus"],
        run=task["run"],
        step=task["step"],
        report=report,
    )
    run, step = logs.run_id.set(task["run"] or "-"), logs.step_name.set(task["step"] or "-")
    try:
        return {"value": invoke(registry, ctx, task["component"], task["capability"], task["params"])}
    except OrchestratorError as error:
        return {"code": error.code, "error": str(error)}
    except MemoryError:
        return {"code": "step_failed", "error": "The step needed more memory than it may use (worker_memory_mb)."}
    except Exception as error:  # noqa: BLE001 - a crash of any kind becomes a failed step, with its cause
        log.warning("%s.%s failed:\n%s", task["component"], task["capability"], traceback.format_exc())
        return {"code": "step_failed", "error": f"{type(error).__name__}: {error}"}
    finally:
        logs.run_id.reset(run)
        logs.step_name.reset(step)


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


@contextmanager
def _output_to(path: Path) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.close(handle)


def _limit_memory(megabytes: int) -> None:
    if megabytes and os.name == "posix":
        import resource  # noqa: PLC0415 - POSIX only

        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))


if __name__ == "__main__":  # a worker of its own where forking is not safe
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
