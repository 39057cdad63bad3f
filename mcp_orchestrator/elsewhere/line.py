"""What a cluster must carry between the home and its places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Line", "Tell"]

Tell = Callable[[float | None, str], None]


class Line(Protocol):
    """The way to the places of one cluster. A place that is gone is `WorkerLost`."""

    name: str

    async def open(self) -> None:
        """Connect to the cluster, or start one."""
        ...

    async def greet(self, hello: str) -> dict[str, dict[str, Any]]:
        """Greet all workers of the cluster and return their answers by address; see `place.greet`."""
        ...

    async def perform(self, address: str, key: str, task: str, tell: Tell) -> dict[str, Any]:
        """Have a place run a task; see `place.Place.perform`."""
        ...

    async def kill(self, address: str, key: str, grace: float) -> dict[str, Any]:
        """Have a place end a task; see `place.Place.kill`."""
        ...

    async def close(self) -> None:
        """Close our places, and the cluster if it was started here."""
        ...
