"""The orchestrator itself."""

from __future__ import annotations

from anyio import to_thread

from mcp_orchestrator.server.results import State
from mcp_orchestrator.server.session import Session, orchestrator

__all__ = ["get_orchestrator_status", "initialize_orchestrator"]

FEW = 20
BEGIN = ["inspect_dataset(data) looks at a table", "run_ml_training_workflow(data, target) trains on it"]


async def initialize_orchestrator(ctx: Session) -> State:
    """Make the state folder ready and start the workers ahead of need. Optional, safe to repeat; its effect lasts."""
    return State(**await orchestrator(ctx).initialize(), next=BEGIN)


async def get_orchestrator_status(ctx: Session) -> State:
    """Version, folders whose files may be read, counts of components and models, runs at work, resources and queue."""
    state = await to_thread.run_sync(orchestrator(ctx).status)
    granted = await orchestrator(ctx).granted(most=FEW)
    resources = {name: value for name, value in granted.items() if value}
    waiting = [f'get_run(run_id="{run["run_id"]}", wait_seconds=25) waits for it' for run in state["active"]]
    return State(**state, resources=resources, next=waiting or BEGIN)
