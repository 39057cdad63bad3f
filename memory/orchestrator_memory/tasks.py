"""What agents do and did: tasks, their progress and outcome, and what was given to others."""

from __future__ import annotations

from orchestrator_memory.ground import Ground

__all__ = ["Tasks"]


class Tasks:
    """The tasks of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground
