"""Workflows: each a page of prose over steps."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_orchestrator.core.engine import Workflow
from mcp_orchestrator.settings import Settings

__all__ = ["WORKFLOWS"]


def WORKFLOWS(settings: Settings) -> Iterator[Workflow]:  # noqa: N802 - the one list of workflows
    """Return all workflows, with the limits of the settings; they are imported when the first one is asked for."""
    from mcp_orchestrator.workflows import evaluate, train

    yield train.workflow(settings)
    yield evaluate.workflow(settings)
