"""Workflows: each a page of prose over steps, or a graph that somebody sent."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_orchestrator.core.engine import Workflow
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.settings import Settings

__all__ = ["WORKFLOWS"]


def WORKFLOWS(settings: Settings, registry: Registry | None = None) -> Iterator[Workflow]:  # noqa: N802 - the one list
    """Return all workflows, with the limits of the settings; they are imported when the first one is asked for.

    Graphs name the components of ``registry``; those of the settings when there is none.
    """
    from mcp_orchestrator.workflows import custom, evaluate, train

    ours = [train.workflow(settings), evaluate.workflow(settings)]
    yield from ours
    yield custom.workflow(settings, registry or Registry(settings.components), {one.name: one for one in ours})
