"""The pictures that a run made of what it found, by their address."""

from __future__ import annotations

from functools import partial
from typing import Any

from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.errors import UnknownName
from mcp_orchestrator.server.history import PNG, found
from mcp_orchestrator.server.session import Session, orchestrator
from mcp_orchestrator.server.templates import template

__all__ = ["publish"]

FOLDER, ENDING = "plots/", ".png"


def publish(server: MCPServer[Orchestrator]) -> None:
    """Add the resource to a server."""
    template(
        server,
        "run://{run_id}/plots/{plot}",
        picture,
        name="plot",
        title="A picture of what a run found",
        mime_type=PNG,
    )


async def picture(run_id: str, plot: str, ctx: Session) -> bytes:
    """A PNG among the artifacts of a run, by its name: roc, calibration, confusion, residuals, importance, tuning..."""
    return await found(partial(_picture, orchestrator(ctx), run_id, plot))


def _picture(orchestrator: Orchestrator, run: str, plot: str) -> bytes:
    row = orchestrator.journal.run(run)
    kept: list[dict[str, Any]] = (row.result or {}).get("artifacts", [])
    digests = {
        str(one["name"]).removeprefix(FOLDER).removesuffix(ENDING): str(one["sha256"])
        for one in kept
        if one.get("media") == PNG and str(one["name"]).startswith(FOLDER)
    }
    if plot not in digests:
        raise UnknownName(f"plot of run {row.id}", plot, sorted(digests))
    return orchestrator.artifacts.verified(digests[plot]).read_bytes()
