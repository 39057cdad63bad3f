"""What is worth knowing later: written once, counted when it is said again, superseded when it is no longer so."""

from __future__ import annotations

from orchestrator_memory.ground import Ground

__all__ = ["Memories"]


class Memories:
    """The memories of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground
