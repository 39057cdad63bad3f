"""How well agents work together: counts and outcomes by kind of task; rates are derived."""

from __future__ import annotations

from orchestrator_memory.ground import Ground

__all__ = ["Collaborations"]


class Collaborations:
    """The collaborations of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground
