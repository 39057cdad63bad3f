"""Which version of the program this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

__all__ = ["version"]


def version() -> str:
    """Return the version of this package."""
    try:
        return installed("mcp-ml-orchestrator")
    except PackageNotFoundError:
        return "0.0.0"
