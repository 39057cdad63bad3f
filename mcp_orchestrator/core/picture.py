"""The timeline of a run as a PNG, drawn in a process of its own: what draws is too heavy for this one."""

from __future__ import annotations

import os
import subprocess
import sys

import anyio

from mcp_orchestrator.core.environment import QUIET
from mcp_orchestrator.core.timeline import folded
from mcp_orchestrator.errors import OutOfTime, StepFailed
from mcp_orchestrator.values import Timeline

__all__ = ["picture"]

DRAWS = "mcp_orchestrator.methods.plots.timeline"
PATIENCE = 60.0


async def picture(whole: Timeline) -> bytes:
    """Return a timeline as PNG.

    Raises:
        StepFailed: the process that draws failed; the message holds what it said last.
        OutOfTime: it took longer than a minute.

    """
    path = os.pathsep.join(one for one in sys.path if one)
    try:
        with anyio.fail_after(PATIENCE):
            drawn = await anyio.run_process(
                [sys.executable, "-m", DRAWS],
                input=folded(whole).model_dump_json().encode(),
                env={**os.environ, **QUIET, "PYTHONPATH": path},
                stderr=subprocess.PIPE,
                check=False,
            )
    except TimeoutError as error:
        message = f"Drawing the timeline took longer than {PATIENCE:g} seconds. Read it as text."
        raise OutOfTime(message) from error
    if drawn.returncode:
        said = drawn.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        message = f"The timeline could not be drawn: {said or f'exit code {drawn.returncode}'}. Read it as text."
        raise StepFailed(message)
    return drawn.stdout
