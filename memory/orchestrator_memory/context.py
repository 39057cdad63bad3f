"""What all agents of a project share: keys with versions, changed only by who knows the present one."""

from __future__ import annotations

from orchestrator_memory.ground import Ground

__all__ = ["SharedContext"]


class SharedContext:
    """The shared context of a project."""

    def __init__(self, ground: Ground) -> None:
        """Keep them in a database."""
        self._ground = ground
