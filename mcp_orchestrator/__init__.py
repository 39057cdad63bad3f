"""An MCP server over an embedded machine-learning orchestrator.

The public names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as typing has it, whose import would cost a front a quarter of its time
if TYPE_CHECKING:
    from typing import Any

    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.pipeline import (
        build_ml_pipeline,  # pyright: ignore[reportUnknownVariableType]  # a pipeline of scikit-learn, which is untyped
        get_workflow_summary,
        run_ml_workflow,
    )
    from mcp_orchestrator.release import version

__all__ = ["Orchestrator", "build_ml_pipeline", "get_workflow_summary", "run_ml_workflow", "version"]

_PLACES = {
    "Orchestrator": "mcp_orchestrator.app",
    "build_ml_pipeline": "mcp_orchestrator.pipeline",
    "get_workflow_summary": "mcp_orchestrator.pipeline",
    "run_ml_workflow": "mcp_orchestrator.pipeline",
    "version": "mcp_orchestrator.release",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the public names
    """Load a public name."""
    if name not in _PLACES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_PLACES[name]), name)
