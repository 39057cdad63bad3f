"""Fitted models on the disk: stored whole, loaded only when nothing was changed and every type inside is allowed."""

from mcp_orchestrator.methods.models.archives import open_file, save
from mcp_orchestrator.methods.models.loading import Loaded, load, store

__all__ = ["Loaded", "load", "open_file", "save", "store"]
