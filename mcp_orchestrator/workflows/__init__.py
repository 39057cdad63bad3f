"""Workflows: each a page of prose over steps."""

from mcp_orchestrator.core.engine import Workflow
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.workflows import evaluate, train

__all__ = ["WORKFLOWS"]


def WORKFLOWS(settings: Settings) -> list[Workflow]:  # noqa: N802 - the one list of workflows
    """Return all workflows, with the limits of the settings."""
    return [train.workflow(settings), evaluate.workflow(settings)]
