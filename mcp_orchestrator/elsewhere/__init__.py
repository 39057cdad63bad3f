"""Steps on other machines: a cluster's workers each hold a place, and a place holds our own worker processes."""

from mcp_orchestrator.elsewhere.placement import placed

__all__ = ["placed"]
