"""An embedded orchestrator of machine learning, and the MCP server that publishes it."""

from __future__ import annotations

__all__ = ["version"]


def version() -> str:
    """Return the version of this package."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - start-up needs none of it

    try:
        return version("mcp-ml-orchestrator")
    except PackageNotFoundError:
        return "0.0.0"
