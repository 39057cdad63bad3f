"""What agents tell each other: nothing that is unread is lost, and work is claimed by one at a time."""

from __future__ import annotations

from orchestrator_memory.ground import Ground

__all__ = ["Messages"]


class Messages:
    """The messages of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground
