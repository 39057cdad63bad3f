"""Who may touch what for now: a dataset, an alias of a model, a place to deploy to."""

from __future__ import annotations

from orchestrator_memory.ground import Ground

__all__ = ["Reservations"]


class Reservations:
    """The reservations of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground
