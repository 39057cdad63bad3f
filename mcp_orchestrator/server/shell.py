"""The MCP server before it has anything to offer: its name, its version, and how a model begins.

It answers who it is, which is what a client asks first and waits for, before the rest of us is even imported.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.release import version

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator

__all__ = ["INSTRUCTIONS", "Late", "shell"]

NAME = "mcp-orchestrator"
INSTRUCTIONS = """\
Begin: inspect_dataset(data), then run_ml_training_workflow(data, target), then predict(model, records).

From a table of data to a registered, honestly tested model. Files are named by paths relative to the project folder;
a table may also be a builtin (builtin:iris), a few inline rows, or the dataset:// reference of inspect_dataset.
Training and evaluation are runs: they go on in the background when the call returns, survive a restart, and are
waited for with get_run(run_id), listed with list_runs, stopped or resumed with control_run. Every answer says in
"next" what can be done.
Read the answer before you report: "degraded" and the steps tell what was skipped or failed, and why; compare "metrics"
(with 95 % intervals) with "baseline"; leakage suspects and gates say whether the figures can be trusted.
Single steps (statistics, tuning, registry, validation...) are components: find_ml_components, invoke_ml_component.
Several of them as one durable run, with conditions, loops and approvals: run_workflow."""


class Late:
    """The orchestrator of sessions that began before it was there."""

    orchestrator: Orchestrator


def shell(lifespan: Callable[[MCPServer[Any]], AbstractAsyncContextManager[Any]] | None = None) -> MCPServer[Any]:
    """Return a server without tools, resources and prompts."""
    return MCPServer(
        NAME,
        title="ML Orchestrator",
        description="Trains, tests, registers and asks models of tables.",
        instructions=INSTRUCTIONS,
        version=version(),
        lifespan=lifespan,
        log_level="WARNING",
    )
