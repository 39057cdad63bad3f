"""Prompts, which clients offer to people as commands."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import briefings

__all__ = ["publish"]


def publish(server: MCPServer[Orchestrator]) -> None:
    """Add the prompts to a server."""
    server.add_prompt(Prompt.from_function(train_model, title="Train a model"))
    briefings.publish(server)


async def train_model(
    data: Annotated[str, Field(description="File, builtin:NAME or dataset:// reference.")],
    target: Annotated[str, Field(description="The column to predict.")],
) -> str:
    """Train a model on a table and report what it is worth."""
    return f"""\
Train a model that predicts {target!r} from {data!r} with the ML orchestrator's tools.

1. inspect_dataset(data={data!r}, target={target!r}). Tell me about leakage suspects, warnings and the balance of
   classes, and ask what only I can know: whether a suspect is known when a prediction is needed, whether rows belong
   together, whether their order in time matters.
2. run_ml_training_workflow on the dataset:// reference, then get_run until it ends. Say what was skipped or degraded,
   and why.
3. Report the metrics with their intervals beside the baseline, the gates, the name and version of the model, and where
   its card and plots lie. If it is no better than the baseline, say so first.
4. predict for two or three real records, and show the answers."""
